"""Settings: default.yaml is complete and commented, profiles hold only differences."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import BaseModel

from fraudctl import assets
from fraudctl.config.load import load
from fraudctl.config.model import Settings
from fraudctl.config.rules_file import read_rules_document
from fraudctl.errors import ConfigError

DEFAULT = assets.configs() / "default.yaml"
PROFILES = sorted((assets.configs() / "profiles").glob("*.yaml"))


def leaves(model: type[BaseModel], prefix: str = "") -> dict[str, object]:
    result: dict[str, object] = {}
    for name, field in model.model_fields.items():
        kind = field.annotation
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            result |= leaves(kind, f"{prefix}{name}.")
        else:
            result[f"{prefix}{name}"] = field
    return result


def value_at(tree: dict[str, Any], key: str) -> object:
    for part in key.split("."):
        tree = tree[part]
    return tree


def test_default_yaml_holds_every_key_and_no_other() -> None:
    document = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    for key in leaves(Settings):
        value_at(document, key)  # KeyError names the one that is missing
    load()  # an unknown key would be refused


def test_every_setting_of_default_yaml_is_explained() -> None:
    lines = DEFAULT.read_text(encoding="utf-8").splitlines()
    bare = [line for line in lines if re.match(r"\s*[a-z_]+: [^#]*$", line)]
    assert not bare


@pytest.mark.parametrize("key", ["kafka.labels_topic", "kafka.alerts_topic"])
def test_no_two_topics_have_one_name(key: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={key: "transactions"})
    assert "are both transactions" in caught.value.detail


@pytest.mark.parametrize("file", PROFILES, ids=lambda file: file.stem)
def test_profiles_hold_only_differences(file: Path) -> None:
    default = yaml.safe_load(DEFAULT.read_text(encoding="utf-8"))
    profile = yaml.safe_load(file.read_text(encoding="utf-8"))
    same = []

    def compare(tree: dict[str, Any], base: dict[str, Any], prefix: str) -> None:
        for name, value in tree.items():
            if isinstance(value, dict):
                compare(value, base[name], f"{prefix}{name}.")
            elif base[name] == value:
                same.append(f"{prefix}{name}")

    compare(profile, default, "")
    assert not same, "these say nothing new"


def test_layers_override_in_order(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("kafka: {port: 1111, partitions: 7}\nwindows: {length_minutes: 5}\n", encoding="utf-8")
    monkeypatch.setenv("FRAUDCTL_KAFKA__PORT", "2222")
    loaded = load(config_file=mine, flags={"kafka.partitions": 9})
    assert (loaded.settings.kafka.port, loaded.settings.kafka.partitions) == (2222, 9)
    assert loaded.settings.windows.length_minutes == 5
    assert loaded.origins["kafka.port"] == "FRAUDCTL_KAFKA__PORT"
    assert loaded.origins["kafka.partitions"] == "flag"
    assert loaded.origins["windows.length_minutes"] == str(mine)
    assert loaded.origins["windows.slide_minutes"] == "configs/default.yaml"


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("FRAUDCTL_KAFKA__PRT", "1", "FRAUDCTL_KAFKA__PORT"),
        ("FRAUDCTL_KAFK__PORT", "1", "FRAUDCTL_KAFKA__PORT"),
        ("FRAUDCTL_PROFIL", "local", "FRAUDCTL_PROFILE"),
    ],
)
def test_unknown_variables_are_refused_with_the_nearest_name(
    monkeypatch: pytest.MonkeyPatch, name: str, value: str, hint: str
) -> None:
    monkeypatch.setenv(name, value)
    with pytest.raises(ConfigError) as caught:
        load()
    assert name in caught.value.message
    assert hint in caught.value.hint


def test_unknown_keys_of_a_file_are_refused_with_the_nearest_name(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("windows: {lenght_minutes: 5}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=mine)
    assert "lenght_minutes" in caught.value.message
    assert "windows.length_minutes" in caught.value.hint


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("kafka: {port: 70000}", "kafka.port"),
        ("spark: {master: 'local[oops]'}", "spark.master"),
        ("spark: {master: 'spark://'}", "spark.master"),
        ("kafka: 5", "kafka"),
        ("- a", "mapping"),
        ("a: [", "YAML"),
    ],
)
def test_bad_values_name_the_setting(tmp_path: Path, text: str, word: str) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text(text, encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=mine)
    assert word in caught.value.message + caught.value.detail
    assert caught.value.hint


@pytest.mark.parametrize(
    "master",
    ["local", "local[*]", "local[4,2]", "spark://one:7077,two:7077", "yarn", "k8s://https://one:6443"],
)
def test_every_kind_of_master_is_taken(master: str) -> None:
    assert load(flags={"spark.master": master}).settings.spark.master == master


def test_a_key_that_is_given_twice_is_refused_with_file_and_line(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("kafka:\n  port: 1111\n  partitions: 7\n  port: 2222\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=mine)
    assert str(mine) in caught.value.message
    assert caught.value.detail == (
        f'{mine}:4: the key "port" is given twice, the first time in line 2; keep one of them'
    )
    mine.write_text("kafka: {port: 1}\nwindows: {slide_minutes: 1}\n'kafka': {port: 2}\n", encoding="utf-8")
    with pytest.raises(ConfigError) as caught:
        load(config_file=mine)
    assert f"{mine}:3: " in caught.value.detail


def test_a_rule_whose_key_is_given_twice_is_refused(tmp_path: Path) -> None:
    rules = tmp_path / "rules.yaml"
    rules.write_text(
        "rules:\n  - name: a\n    when: {amount_over: 1}\n    when: {amount_over: 2}\n", encoding="utf-8"
    )
    with pytest.raises(ConfigError) as caught:
        read_rules_document(str(rules))
    assert f"{rules}:4: " in caught.value.detail


@pytest.mark.parametrize("text", ["[grafana, spark]", '["grafana", "spark"]'])
def test_a_list_in_the_environment_is_written_as_in_yaml(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("FRAUDCTL_DOCKER__PROFILES", text)
    assert load().settings.docker.profiles == ("grafana", "spark")


@pytest.mark.parametrize(("text", "says"), [("spark", "docker.profiles"), ("[spark", "profiles = '[spark'")])
def test_a_list_that_is_none_is_named(monkeypatch: pytest.MonkeyPatch, text: str, says: str) -> None:
    monkeypatch.setenv("FRAUDCTL_DOCKER__PROFILES", text)
    with pytest.raises(ConfigError) as refused:
        load()
    assert says in refused.value.detail
    assert "[" in refused.value.detail + refused.value.hint
