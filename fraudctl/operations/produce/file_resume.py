"""The choice of the run that a file resumes: its own, or the run of a file that was moved to its name."""

import os
from pathlib import Path

from fraudctl.operations.produce.file_progress import (
    FileProgress,
    ProgressFolder,
    SavedRun,
    never_begun,
    not_moved,
)
from fraudctl.operations.produce.table_rows import TableSource, check_same_run


class ResumableRuns:
    """The earlier runs that a file may go on with; another file's run only if it has none of its own."""

    def __init__(self, folder: ProgressFolder, file: Path, source: TableSource) -> None:
        """Find the runs.

        Args:
            folder: the progress of all files that were sent to the topic.
            file: the file to resume.
            source: its rows, before the first one.

        Raises:
            RefusedError: there are none, or a file that holds progress is damaged.
            DataError: the file's first row cannot be read.
        """
        self._folder = folder
        self._file = file
        self._own = folder.own(file)
        self._others = [] if self._own else folder.others(file, source.first_row_digest())
        if not self._own and not self._others:
            raise never_begun(file, [])

    def choose(self, source: TableSource, mapping: str, key: str) -> tuple[FileProgress, bool]:
        """Return the run to resume, and whether it was another file's before.

        Args:
            source: the file's rows, before the first one.
            mapping: the digest of the present mapping.
            key: the name of the present key; empty if the mapping has no digests.

        Raises:
            RefusedError: the run does not fit the file, its mapping or its key, or the choice is not clear.
            NotReadyError: another process is sending the file under its old name.
            DataError: the file cannot be read as far as it was read before.
        """
        if self._own:
            check_same_run(self._own, mapping, key)
            source.check(self._own)
            return self._own, False
        moved = self._moved(source, mapping)
        check_same_run(moved.progress, mapping, key)
        return self._folder.take_over(moved, self._file), True

    def _moved(self, source: TableSource, mapping: str) -> SavedRun:
        """Return the one run whose file was moved to the present name."""
        same = [run for run in self._others if run.progress.mapping == mapping]
        fitting = [run for run in same if source.matches(run.progress)]
        if not fitting:
            raise never_begun(self._file, self._others)
        moved_here = fitting[0].progress.path == os.fsencode(self._file.absolute())
        if len(fitting) > 1 or (fitting[0].has_its_file and not moved_here):
            raise not_moved(self._file, fitting)
        return fitting[0]
