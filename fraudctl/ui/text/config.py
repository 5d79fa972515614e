"""Settings as lines of text."""

import json

from fraudctl.operations.lifecycle.show_config import ConfigShown


def settings(shown: ConfigShown, with_origin: bool) -> str:
    """Return a line `key = value` for each setting, followed by `# origin` if asked for."""
    lines = [f"{setting.key} = {json.dumps(setting.value, ensure_ascii=False)}" for setting in shown.settings]
    if with_origin:
        width = max(len(line) for line in lines)
        lines = [
            f"{line:<{width}}  # {setting.origin}"
            for line, setting in zip(lines, shown.settings, strict=True)
        ]
    return "\n".join(lines)
