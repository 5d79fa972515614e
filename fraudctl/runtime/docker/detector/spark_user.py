"""Who Spark is inside its containers: whoever owns the stack's folder is to own what is written there."""

import os
from dataclasses import dataclass
from pathlib import Path

from fraudctl.config.paths import StackPaths
from fraudctl.runtime.files import make_folder, write_whole

IMAGE_USER = 185  # of the public images of Spark
_HOME = "/tmp"


@dataclass(frozen=True)
class SparkUser:
    """A user and group inside; `given` if what it is to read or write must be handed to it first."""

    uid: int
    gid: int
    given: bool = False

    @property
    def name(self) -> str:
        """As compose.yaml wants it."""
        return f"{self.uid}:{self.gid}"

    def users_file(self, paths: StackPaths) -> Path | None:
        """Shown as /etc/passwd, unless the image knows the user.

        Without a name and a home for its user Java has no place for its files, and Hadoop refuses to log in.
        """
        return None if self.uid == IMAGE_USER else paths.run / "spark.passwd"

    def write_users(self, paths: StackPaths) -> None:
        """Write that file, where there is to be one."""
        file = self.users_file(paths)
        if file is not None:
            make_folder(file.parent)
            users = [("root", 0, 0), ("spark", self.uid, self.gid)]
            lines = [f"{name}:x:{uid}:{gid}:{name}:{_HOME}:/bin/sh\n" for name, uid, gid in users]
            write_whole(file, "".join(lines), mode=0o644)


def spark_user(*, rootless: bool) -> SparkUser:
    """Root hands what is needed to the image's user; anybody else's containers run as that person.

    In a rootless engine that person is called root.
    """
    uid = os.geteuid()
    if rootless:
        return SparkUser(0, 0)
    return SparkUser(IMAGE_USER, IMAGE_USER, given=True) if uid == 0 else SparkUser(uid, os.getegid())
