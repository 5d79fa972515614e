"""`fraudctl config show`: list the active settings."""

from dataclasses import dataclass

from fraudctl.config.load import Loaded


@dataclass(frozen=True)
class Setting:
    """One setting: its dotted key, its value and the layer that set it."""

    key: str
    value: object
    origin: str


@dataclass(frozen=True)
class ConfigShown:
    """All active settings."""

    settings: tuple[Setting, ...]

    def tree(self, *, with_origin: bool) -> dict[str, object]:
        """Return the settings nested by section; with origins each leaf is {value, origin}."""
        result: dict[str, object] = {}
        for setting in self.settings:
            section, _, name = setting.key.rpartition(".")
            branch = result.setdefault(section, {}) if section else result
            assert isinstance(branch, dict)
            branch[name] = (
                {"value": setting.value, "origin": setting.origin} if with_origin else setting.value
            )
        return result


def show_config(loaded: Loaded) -> ConfigShown:
    """Return the settings by dotted key, in the order of default.yaml."""
    values = loaded.settings.model_dump(mode="json")
    rows = []
    for key, origin in loaded.origins.items():
        value: object = values
        for part in key.split("."):
            assert isinstance(value, dict)
            value = value[part]
        rows.append(Setting(key, value, origin))
    return ConfigShown(tuple(rows))
