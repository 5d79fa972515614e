"""Check whether a rules document is valid and whether an event can match each of its rules."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from fraudctl.config.model import Settings
from fraudctl.config.yaml_file import YamlDocument
from fraudctl.errors import ConfigError
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.rules.possible import Finding, findings


@dataclass(frozen=True)
class CheckedRules:
    """Rules that events can match; `warnings` name conditions that every event meets or that do nothing."""

    rules: RuleSet
    warnings: tuple[str, ...]


def checked_rules(settings: Settings, document: Mapping[str, Any]) -> CheckedRules:
    """Return the rules if they are valid and each of them can match.

    Raises:
        ConfigError: they are not, or one cannot; the detail names the location of each.
    """
    rules = parse_rules(document)
    found = findings(rules, settings.events)
    impossible = [finding for finding in found if finding.kind == "impossible"]
    if impossible:
        raise ConfigError(
            "the rules ask for what no event can have",
            detail="\n".join(_line(document, finding) for finding in impossible),
            hint="correct each rule: it would never match, or match by what it leaves out",
        )
    return CheckedRules(rules, tuple(_line(document, finding) for finding in found))


def rules_warnings(settings: Settings, rules: RuleSet, document: Mapping[str, Any]) -> tuple[str, ...]:
    """Return one line for each part of valid rules that can never match or has no effect."""
    return tuple(_line(document, finding) for finding in findings(rules, settings.events))


def _line(document: Mapping[str, Any], finding: Finding) -> str:
    place = f"{document.place(finding.way)}: " if isinstance(document, YamlDocument) else ""
    rule = f"rule {finding.rule}: " if finding.rule is not None else ""
    return f"{place}{rule}{finding.text}"
