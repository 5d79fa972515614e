"""The look-back at a card's past: fixed by the committed batches, or before those by the active rules."""

from fraudctl.config.endpoints import PostgresEndpoint
from fraudctl.config.job import horizon_of
from fraudctl.database import continuation, lease, rule_sets
from fraudctl.errors import RefusedError
from fraudctl.rules.horizon import refuse_beyond
from fraudctl.rules.model import RuleSet, parse_rules
from fraudctl.runtime.process import identity


def horizon_to_begin_with(postgres: PostgresEndpoint, given: RuleSet, *, connect_seconds: float) -> int:
    """Return the look-back in seconds for a detector that is about to start.

    Args:
        postgres: the database with the committed batches and the active rules.
        given: the rules that a pipeline without active rules begins with.
        connect_seconds: the timeout for connecting to the database.

    Raises:
        ConfigError: the active rules are not valid for this version.
        UnreachableError: the database does not answer.
    """
    landed = continuation.last_landed(postgres, connect_seconds=connect_seconds)
    if landed is not None:
        return horizon_of(landed.fingerprint)
    return _in_force(postgres, given, connect_seconds).card_horizon_seconds


def refuse_rules_in_force(
    postgres: PostgresEndpoint, given: RuleSet, horizon_seconds: int, *, connect_seconds: float
) -> None:
    """Raise an error if the active rules, or else the given ones, look back further than the detector can.

    Raises:
        RefusedError: the rules look back further than `horizon_seconds`.
        ConfigError: the active rules are not valid for this version.
        UnreachableError: the database does not answer.
    """
    refuse_beyond(_in_force(postgres, given, connect_seconds), horizon_seconds)


def refuse_to_apply(
    postgres: PostgresEndpoint, rules: RuleSet, before: RuleSet | None, *, file: str, connect_seconds: float
) -> None:
    """Raise an error if the detector could not continue with these rules.

    Args:
        postgres: the database with the committed batches and the lease.
        rules: the rules to activate.
        before: the active rules.
        file: the name of the rules file, for the hint.
        connect_seconds: the timeout for connecting to the database.

    Raises:
        RefusedError: with these rules the detector could not continue after the last committed batch.
        UnreachableError: the database does not answer.
    """
    if rules.card_horizon_seconds == 0:
        return
    landed = continuation.last_landed(postgres, connect_seconds=connect_seconds)
    if landed is not None:
        refuse_beyond(rules, horizon_of(landed.fingerprint), file=file)
    elif before is not None and rules.card_horizon_seconds > before.card_horizon_seconds:
        # Without a committed batch nothing must be recounted, but a running query has a fixed look-back.
        held = lease.look(postgres, connect_seconds=connect_seconds)
        if not held.free and not identity.is_surely_dead(held.process):
            raise RefusedError(
                "a detector has begun with rules that look back less far at what a card did",
                detail=f"{held.described()}; no batch of it has landed yet",
                hint=f"stop it with `fraudctl detect --stop`, then `fraudctl rules apply {file}` "
                "and `fraudctl detect`",
            )


def _in_force(postgres: PostgresEndpoint, given: RuleSet, connect_seconds: float) -> RuleSet:
    stored = rule_sets.active(postgres, connect_seconds=connect_seconds)
    return given if stored is None else parse_rules(stored.document)
