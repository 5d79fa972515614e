"""Operations of the command line: one module or folder for each command or family of commands."""
