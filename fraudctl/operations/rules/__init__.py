"""Operations on rules: check them, try them on recorded events, activate them and show the active ones."""
