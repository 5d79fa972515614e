"""Alerts or flags that a replay gains or loses against the live run, for instance under other rules."""

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from fraudctl.recount.alerts import Alert
from fraudctl.recount.card_log import FlagKey
from fraudctl.recount.flags import Flag

Key = TypeVar("Key", str, FlagKey)


@dataclass(frozen=True)
class Change:
    """The alerts, or the flags, of a range: how many the replay finds and how many the detector found.

    Gains and losses are counted by category and by each rule that matched; `won` and `lost` hold transaction
    ids.
    """

    live: int
    replayed: int
    won: tuple[str, ...]
    lost: tuple[str, ...]
    won_by_category: dict[str, int]
    lost_by_category: dict[str, int]
    won_by_rule: dict[str, int]
    lost_by_rule: dict[str, int]


def change(live: Mapping[Key, Alert | Flag], replayed: Mapping[Key, Alert | Flag]) -> Change:
    """Return the rows that a replay gains and loses; both mappings have the same keys."""
    won = [row for key, row in replayed.items() if key not in live]
    lost = [row for key, row in live.items() if key not in replayed]
    return Change(
        live=len(live),
        replayed=len(replayed),
        won=tuple(sorted(row.transaction_id for row in won)),
        lost=tuple(sorted(row.transaction_id for row in lost)),
        won_by_category=_counted(row.category for row in won),
        lost_by_category=_counted(row.category for row in lost),
        won_by_rule=_counted(rule for row in won for rule in row.rules.split(",")),
        lost_by_rule=_counted(rule for row in lost for rule in row.rules.split(",")),
    )


def _counted(names: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(names).items()))
