"""Activate rules, and show which ones are active."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.config.rules_file import read_configured_rules, read_rules_document
from fraudctl.config.yaml_file import YamlDocument
from fraudctl.database import rule_sets
from fraudctl.errors import UnreachableError
from fraudctl.operations.rules.card_lookback import refuse_to_apply
from fraudctl.operations.rules.check import CheckedRules, checked_rules
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.runtime.stack import endpoints


@dataclass(frozen=True)
class InForce:
    """The active rules; `since` is None while they come from the file, before a detector has started."""

    rules: RuleSet
    source: str
    since: datetime | None


@dataclass(frozen=True)
class Applied:
    """The result of activating rules; `changed` is False where identical rules were active already."""

    digest: str
    before: str | None
    changed: bool
    rules: int
    switched_off: int
    warnings: tuple[str, ...] = ()


def apply_rules(settings: Settings, postgres: PostgresEndpoint, document: Mapping[str, Any]) -> Applied:
    """Activate rules for the detector's next batch; a running detector picks them up by itself.

    Raises:
        ConfigError: the rules are not valid; the active ones stay.
        RefusedError: the database was not migrated, the user may not do this, or the rules look back further
            at a card's past than the detector's state reaches.
        UnreachableError: the database does not answer.
    """
    checked = checked_rules(settings, document)
    rules = checked.rules
    seconds = settings.timeouts.connect_seconds
    before = rule_sets.active(postgres, connect_seconds=seconds)
    refuse_to_apply(
        postgres,
        rules,
        parse_rules(before.document) if before else None,
        file=str(document.file) if isinstance(document, YamlDocument) else "FILE",
        connect_seconds=seconds,
    )
    changed = rule_sets.apply(postgres, rules.digest, rules.document, connect_seconds=seconds)
    return Applied(
        digest=rules.digest,
        before=before.digest if before else None,
        changed=changed,
        rules=len(rules.rules),
        switched_off=len(rules.rules) - len(rules.enabled),
        warnings=checked.warnings,
    )


def rules_in_force(settings: Settings, postgres: PostgresEndpoint) -> InForce:
    """Return the rules for the next batch: the database's, or before the first detector start the file's.

    Raises:
        ConfigError: the file's rules are not valid.
        UnreachableError: the database does not answer.
    """
    stored = rule_sets.active(postgres, connect_seconds=settings.timeouts.connect_seconds)
    if stored is not None:
        return InForce(parse_rules(stored.document), "the database", stored.since)
    document = read_configured_rules(settings)
    return InForce(parse_rules(document), str(document.file), None)


def rules_to_list(settings: Settings, paths: StackPaths) -> InForce:
    """Return the active rules, or the file's where no database answers.

    Raises:
        ConfigError: the file's rules are not valid.
    """
    try:
        return rules_in_force(settings, endpoints(settings, paths, need=("postgres",)).postgres)
    except UnreachableError:
        document = read_configured_rules(settings)
        return InForce(parse_rules(document), str(document.file), None)


def rules_to_try(settings: Settings, paths: StackPaths, file: Path | None) -> CheckedRules:
    """Return the checked rules of the file, or without a file those of `rules_to_list`.

    Raises:
        ConfigError: they are not valid.
    """
    if file is None:
        return CheckedRules(rules_to_list(settings, paths).rules, ())
    return checked_rules(settings, read_rules_document(str(file)))
