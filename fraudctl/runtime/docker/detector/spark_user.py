"""The user of Spark inside its containers: files written there belong to the owner of the stack's folder."""

import os
from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.paths import StackPaths
from fraudctl.runtime.files import make_folder, write_whole

IMAGE_USER = 185  # of the public images of Spark
_HOME = "/tmp"


@dataclass(frozen=True)
class SparkUser:
    """A user and group inside a container; if `given`, files to read or write must be handed over first."""

    uid: int
    gid: int
    given: bool = False

    @property
    def name(self) -> str:
        """Return user and group as compose.yaml wants them: UID:GID."""
        return f"{self.uid}:{self.gid}"

    def users_file(self, paths: StackPaths) -> Path | None:
        """Return the file to mount as /etc/passwd; None if the image knows the user.

        Without a name and a home for its user, Java has nowhere to put its files, and Hadoop refuses to log
        in.
        """
        return None if self.uid == IMAGE_USER else paths.run / "spark.passwd"

    def write_users(self, paths: StackPaths) -> None:
        """Write the file for /etc/passwd, if one is needed."""
        file = self.users_file(paths)
        if file is not None:
            make_folder(file.parent)
            users = [("root", 0, 0), ("spark", self.uid, self.gid)]
            lines = [f"{name}:x:{uid}:{gid}:{name}:{_HOME}:/bin/sh\n" for name, uid, gid in users]
            write_whole(file, "".join(lines), mode=0o644)


def spark_user(*, rootless: bool) -> SparkUser:
    """Return the user of Spark: the image's own if the caller is root, else the caller.

    Root hands over what the image's user needs. In a rootless engine the caller is called root.
    """
    uid = os.geteuid()
    if rootless:
        return SparkUser(0, 0)
    return SparkUser(IMAGE_USER, IMAGE_USER, given=True) if uid == 0 else SparkUser(uid, os.getegid())
