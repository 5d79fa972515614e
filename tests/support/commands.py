"""fraudctl as a user runs it, against services that are there already."""

import os
import subprocess
import sys
from pathlib import Path

from fraudctl.config.endpoints import Endpoints


def fraudctl(
    endpoints: Endpoints, home: Path, *arguments: str, **settings: str
) -> subprocess.CompletedProcess[str]:
    """Run one command on the profile `external`; `settings` are given as kafka__topic="name"."""
    postgres = endpoints.postgres
    given = {
        "profile": "external",
        "kafka__bootstrap_servers": endpoints.bootstrap_servers,
        "postgres__host": postgres.host,
        "postgres__port": str(postgres.port),
        "postgres__database": postgres.database,
        "postgres__user": postgres.user,
        "postgres__password_file": str(postgres.password_file),
        **settings,
    }
    plain = {name: value for name, value in os.environ.items() if not name.startswith("FRAUDCTL_")}
    return subprocess.run(
        [sys.executable, "-m", "fraudctl", *arguments],
        env={
            **plain,
            "FRAUDCTL_HOME": str(home),
            **{f"FRAUDCTL_{name.upper()}": value for name, value in given.items()},
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
