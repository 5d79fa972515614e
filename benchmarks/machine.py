"""Describe the machine and the versions that a run was made with."""

import os
import platform
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

import psutil

from fraudctl.config.paths import stack_paths
from fraudctl.runtime.jvm.java import find_java

_PACKAGES = ("pyspark", "confluent-kafka", "psycopg", "pyarrow", "msgspec")


def describe() -> dict[str, Any]:
    """Return processor, memory, kernel, Java and the versions of what does the work."""
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "memory_gb": round(psutil.virtual_memory().total / 1e9, 1),
        "system": f"{platform.system()} {platform.release()}",
        "java": find_java(stack_paths(None, "default"), os.environ).version,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in _PACKAGES},
        "flink": _locked_flink(),
    }


def _processor(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    if cpuinfo.is_file():
        found = re.search(r"^model name\s*: (.+)$", cpuinfo.read_text(encoding="utf-8"), re.MULTILINE)
        if found:
            return found[1].strip()
    return platform.processor() or platform.machine()


def _locked_flink() -> str:
    lock = Path(__file__).resolve().parent / "flink" / "requirements.lock"
    found = re.search(r"^apache-flink==(\S+)", lock.read_text(encoding="utf-8"), re.MULTILINE)
    return found[1] if found else ""
