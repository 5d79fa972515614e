"""How far back rules may look: as far as the state of the detector that judges by them."""

from fraudctl.errors import RefusedError
from fraudctl.rules.model import RuleSet


def refuse_beyond(rules: RuleSet, horizon_seconds: int, *, file: str = "FILE") -> None:
    """
    Args:
        horizon_seconds: how far back the state reaches, as it was when the pipeline began.

    Raises:
        RefusedError: a rule that counts looks back further; what it asks about is not there any more.
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
