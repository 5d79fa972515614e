"""Presets: what comes with fraudctl is valid and explained; what is not valid is named."""

import re

import pytest

from fraudctl import assets
from fraudctl.config.preset_file import preset_names, read_preset_document
from fraudctl.errors import ConfigError, FraudctlError, UsageError
from fraudctl.simulator.preset import HabitsPreset, HandbookPreset, parse_preset


@pytest.mark.parametrize("name", preset_names())
def test_every_preset_is_valid_and_every_setting_explained(name: str) -> None:
    parse_preset(read_preset_document(name), {})
    lines = (assets.configs() / "scenarios" / f"{name}.yaml").read_text(encoding="utf-8").splitlines()
    explained = ("model:", "description:", "mix: {")
    bare = [line for line in lines if re.match(r"[a-z_]+: [^#]*$", line) and not line.startswith(explained)]
    assert not bare


def test_the_handbook_preset_has_the_published_settings() -> None:
    preset = parse_preset(read_preset_document("handbook"), {})
    assert isinstance(preset, HandbookPreset)
    assert (preset.customers, preset.terminals, preset.radius, preset.days) == (5_000, 10_000, 5, 183)
    assert preset.start.isoformat() == "2018-04-01"


def test_changes_replace_what_the_document_says() -> None:
    preset = parse_preset(read_preset_document("everyday"), {"days": 3, "difficulty": 0.25, "cards": None})
    assert isinstance(preset, HabitsPreset)
    assert (preset.days, preset.difficulty, preset.cards) == (3, 0.25, 5_000)


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"difficulty": 1.5}, "difficulty"),
        ({"days": 0}, "days"),
        ({"cardz": 5}, "cardz"),
        ({"mix": {"card_testin": 1}}, "mix.card_testin"),
        ({"mix": {}}, "mix"),
        ({"faults": {"late": 2}}, "faults.late"),
        ({"label_delay_hours": [5, 1]}, "label_delay_hours"),
        ({"model": "crystal ball"}, "model"),
    ],
)
def test_what_is_wrong_is_named(changes: dict[str, object], place: str) -> None:
    """Whether it stands in the file, or is asked for on top of one that is as it must be."""
    document = read_preset_document("everyday")
    for kind, given in ((ConfigError, (document | changes, {})), (UsageError, (document, changes))):
        with pytest.raises(FraudctlError) as caught:
            parse_preset(*given)
        assert type(caught.value) is kind
        assert place in caught.value.detail
        assert caught.value.hint


def test_an_unknown_preset_is_refused_with_the_nearest_name() -> None:
    with pytest.raises(ConfigError) as caught:
        read_preset_document("handbok")
    assert "handbook" in caught.value.hint
    assert "everyday" in caught.value.detail
