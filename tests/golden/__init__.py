"""Golden cases that the detector's transforms and the recount must both satisfy."""

import base64
import json
from pathlib import Path
from typing import Any

_DOCUMENT: dict[str, Any] = json.loads((Path(__file__).parent / "cases.json").read_text(encoding="utf-8"))

MESSAGES: list[dict[str, Any]] = _DOCUMENT["messages"]
WINDOWS: list[dict[str, Any]] = _DOCUMENT["windows"]


def value_bytes(case: dict[str, Any]) -> bytes | None:
    """The message as it lies in the log."""
    if case["value"] is None:
        return None
    return base64.b64decode(case["value"]) if case.get("encoding") == "base64" else case["value"].encode()
