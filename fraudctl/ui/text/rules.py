"""Rules as text, and the results of applying them to recorded events."""

from collections.abc import Iterator
from typing import Any

from fraudctl.operations.inputs.event_files import report_lines
from fraudctl.operations.rules.apply import Applied, InForce
from fraudctl.operations.rules.dry_run import Example, RuleTally, Trial
from fraudctl.rules.model import Rule, RuleSet

# Number of digits of a digest that tell two versions of the rules apart.
SHORT = 12


def as_data(rules: RuleSet) -> dict[str, Any]:
    """Return the rules as data, with the digest that names them."""
    return {"digest": rules.digest, **rules.document}


def in_force_data(found: InForce) -> dict[str, Any]:
    """Return the active rules as data, with their source and the time since when they are active."""
    return {"source": found.source, "since": found.since, **as_data(found.rules)}


def in_force(found: InForce) -> str:
    """Return the active rules as text."""
    if found.since is None:
        head = f"from {found.source}; no detector has begun with them"
    else:
        head = f"in force since {found.since.isoformat(timespec='seconds')}"
    return f"{head}\n{listed(found.rules)}"


def applied(result: Applied) -> str:
    """Return which rule set is active now, and which one it replaces."""
    off = f", {result.switched_off} of them off" if result.switched_off else ""
    what = f"rule set {result.digest[:SHORT]}, {_many(result.rules, 'rule')}{off}"
    if not result.changed:
        return f"in force already: {what}"
    before = f" in place of {result.before[:SHORT]}" if result.before else ""
    return f"in force from the detector's next batch on: {what}{before}"


def listed(rules: RuleSet) -> str:
    """Return all rules of a rule set as text."""
    lines = [f"rule set {rules.digest[:SHORT]}, {_many(len(rules.rules), 'rule')}"]
    if rules.alert_score is not None:
        lines.append(f"an alert from a score of {rules.alert_score} on")
    for rule in rules.rules:
        lines += ["", *_rule(rule)]
    return "\n".join(lines)


def valid(file: str, rules: RuleSet) -> str:
    """Return the line that says that a rules file is valid."""
    off = len(rules.rules) - len(rules.enabled)
    note = f", {off} of them off" if off else ""
    return f"{file} is valid: rule set {rules.digest[:SHORT]}, {_many(len(rules.rules), 'rule')}{note}"


def trial(result: Trial) -> str:
    """Return the number of events, the matches of each rule, and examples."""
    return "\n".join(
        [
            f"rule set   {result.digest[:SHORT]}",
            f"events     {result.read:,} of {result.source}",
            f"not judged {result.refused:,} refused, {result.duplicates:,} duplicates",
            *(report_lines(result.file)[1:] if result.file else ()),
            f"flagged    {result.flagged:,} of {result.judged:,}{_share(result.flagged, result.judged)}",
            f"alerts     {result.alerts:,}{_share(result.alerts, result.judged)}",
            *(line for rule in result.rules for line in _tally(rule)),
        ]
    )


def _rule(rule: Rule) -> Iterator[str]:
    off = "" if rule.enabled else ", off"
    yield f"{rule.id}  version {rule.version}, {rule.action}, {rule.weight} points{off}"
    yield f"  {rule.reason}"
    for name, value in rule.when.model_dump(mode="json", exclude_none=True).items():
        yield f"  {name}: {_model(value) if name == 'model' else _condition(value)}"


def _model(value: dict[str, Any]) -> str:
    """Return the name and the threshold of a model without its trees, which are for machines."""
    forest = value["forest"]
    back = f", {forest['within_minutes']} min back at the card" if "within_minutes" in forest else ""
    return f"{forest['name']}{back}, score over {value['score_over']}"


def _condition(value: object) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {limit}" for name, limit in value.items())
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _tally(rule: RuleTally) -> Iterator[str]:
    state = f"{rule.action}, {rule.weight} points" if rule.enabled else "off"
    yield ""
    yield f"{rule.id} (version {rule.version}, {state}): {rule.matched:,}, {rule.alone:,} of them by it alone"
    for example in rule.examples:
        yield f"  {_example(example)}"


def _example(example: Example) -> str:
    return (
        f"{example.event_time}  {example.transaction_id}  card {example.card_id}  {example.category}"
        f"  {example.amount_minor / 100:,.2f}  {example.country} {example.channel}  score {example.score}"
    )


def _share(part: int, whole: int) -> str:
    return f" ({100 * part / whole:.2f} %)" if whole else ""


def _many(number: int, word: str) -> str:
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"
