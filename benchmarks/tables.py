"""Which value each group's table shows, in which unit, and what stands beside it."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Extra:
    """One more column: the median of another value."""

    value: str
    title: str
    scale: float = 1.0


@dataclass(frozen=True)
class Table:
    """The table of one group of samples.

    `base_first`: ratios are those of the first side to each other one, else the other way round. `best` is
    the value whose best stands beside the median, if it is another one. `notes_of` names the group whose
    notes belong here.
    """

    title: str
    value: str
    unit: str
    more_is_better: bool
    scale: float = 1.0
    best: str = ""
    base_first: bool = True
    notes_of: str = ""
    extras: tuple[Extra, ...] = field(default=())


_CPU = Extra("cpu_us_per_event", "CPU µs/event")
_MEMORY = Extra("peak_rss_mb", "peak memory MB")
_WALL = Extra("wall_seconds", "whole command s")
_RATE = ("events_per_second", "k events/s", True, 0.001)
_DRAIN = (_CPU, Extra("first_batch_seconds", "first batch after s"), _WALL, _MEMORY)
_LIVE = (
    Extra("trigger_p95_ms", "trigger p95 ms"),
    Extra("delay_p50_seconds", "arrival → row p50 s"),
    Extra("delay_p99_seconds", "arrival → row p99 s"),
    Extra("alert_p50_seconds", "arrival → alert p50 s"),
    Extra("alert_p99_seconds", "arrival → alert p99 s"),
    Extra("cpu_ms_per_second", "CPU ms/s"),
)


def _growth(what: str) -> Table:
    return Table(
        f"Growth: {what}", *_RATE, best="best_events_per_second", base_first=False, notes_of="growth",
        extras=(_CPU, _MEMORY),
    )  # fmt: skip


TABLES = {
    "drain": Table("Drain of a preloaded log", *_RATE, best="best_events_per_second", extras=_DRAIN),
    "defaults": Table(
        "Against a tutorial's defaults", *_RATE, best="best_events_per_second", extras=_DRAIN
    ),
    "live-500": Table(
        "Live at 500 events/s", "trigger_p50_ms", "trigger p50 ms", False, notes_of="live", extras=_LIVE
    ),
    "live-2000": Table(
        "Live at 2,000 events/s", "delay_p50_seconds", "arrival → row p50 s", False, notes_of="live",
        extras=(Extra("trigger_p50_ms", "trigger p50 ms"), _LIVE[0], *_LIVE[2:]),
    ),
    "start": Table(
        "`detect` typed until its first batch is committed", "seconds", "s", False,
        extras=(Extra("batch_seconds", "first batch s"), Extra("cpu_seconds", "CPU s")),
    ),
    "demo": Table("`fraudctl demo`", "seconds", "s", False, extras=(Extra("cpu_seconds", "CPU s"),)),
    "verify": Table("Recount by `verify-idempotency`", *_RATE, extras=(_CPU, _WALL, _MEMORY)),
    "verify-long": Table(
        "Recount of the long log", *_RATE, notes_of="verify", extras=(_CPU, _WALL, _MEMORY)
    ),
    "producers": Table("Producers", *_RATE, extras=(_CPU, _WALL, _MEMORY)),
    "cores": Table(
        "One core and two", *_RATE, best="best_events_per_second", base_first=False, extras=_DRAIN
    ),
    "card-rules": Table(
        "Rules on a card's past and forests", "trigger_p50_ms", "trigger p50 ms", False, base_first=False,
        extras=(_CPU, _MEMORY),
    ),
    "keys": Table(
        "Batches at a growing number of live keys", "growth", "last batch ÷ first", False,
        extras=(Extra("first_ms", "few keys ms"), Extra("middle_ms", "more ms"), Extra("last_ms", "most ms"),
                _MEMORY),
    ),
    "growth-categories": _growth("categories"),
    "growth-cards": _growth("cards"),
    "growth-rate": _growth("events per second of event time, and with it live keys"),
    "growth-history": _growth("rows in the table of windows"),
    "growth-partitions": _growth("partitions of the topic"),
    "soak": Table(
        "Soak with kills", "p95_growth", "p95 last quarter ÷ first", False,
        extras=(Extra("p95_first_ms", "p95 first quarter ms"), Extra("p95_last_ms", "p95 last quarter ms"),
                Extra("checkpoint_mb", "checkpoint MB"), Extra("wal_mb", "WAL MB"),
                Extra("rss_mb", "memory MB")),
    ),
}  # fmt: skip
