"""The limit of the look-back of rules: no further than the detector's state of cards."""

from fraudctl.errors import RefusedError
from fraudctl.rules.model import RuleSet


def refuse_beyond(rules: RuleSet, horizon_seconds: int, *, file: str = "FILE") -> None:
    """Check that no rule looks back further than the detector's state.

    Args:
        rules: the rules to check.
        horizon_seconds: look-back of the state, fixed when the pipeline began, in seconds.
        file: the rules file to name in the hint.

    Raises:
        RefusedError: an enabled rule looks back further; the transactions it asks about are not kept.
    """
    if rules.card_horizon_seconds <= horizon_seconds:
        return
    asked, kept = rules.card_horizon_seconds // 60, horizon_seconds // 60
    further = [rule.id for rule in rules.enabled if rule.when.looks_back_seconds > horizon_seconds]
    raise RefusedError(
        f"the rules look back {asked} min at what a card did, further than what has landed was counted with",
        detail=f"rules {', '.join(further)}; the detector's state reaches back "
        + (f"{kept} min" if kept else "to nothing: the pipeline began without such rules"),
        hint=f"count everything anew with them: `fraudctl replay --rebuild --rules {file} --apply`",
    )
