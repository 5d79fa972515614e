"""Evaluate rules on recorded transactions offline, with all of them known, independent of batches."""

from collections.abc import Iterable, Iterator

from fraudctl.recount.judgement import CardJudge, Verdict, judge
from fraudctl.recount.parse import Transaction
from fraudctl.recount.past import pasts_by_span
from fraudctl.recount.raised import transaction_digest
from fraudctl.recount.recount import payload_digest
from fraudctl.rules.model import RuleSet


def in_hindsight(
    rules: RuleSet, transactions: Iterable[tuple[int, Transaction]]
) -> Iterator[tuple[Transaction, Verdict]]:
    """Yield each distinct transaction with the verdict of all rules, in the order of first reading.

    A detector comes to the same verdicts in the end, however it cuts the log into batches, as long as its
    rules do not change: more of a card's past can only make a rule match.

    Args:
        rules: with conditions on a card's past, all transactions are held in memory, else 16 bytes of each.
        transactions: with their partition, including copies. Copies in several partitions have different
            pasts: the one that most rules match counts, then the lowest partition.
    """
    if rules.card_horizon_seconds:
        yield from _with_pasts(rules, transactions)
        return
    verdict_of = judge(rules)
    seen: set[bytes] = set()
    for _partition, transaction in transactions:
        if (payload := payload_digest(transaction)) not in seen:
            seen.add(payload)
            yield transaction, verdict_of(transaction)


def _with_pasts(
    rules: RuleSet, transactions: Iterable[tuple[int, Transaction]]
) -> Iterator[tuple[Transaction, Verdict]]:
    cards: dict[tuple[int, str], dict[str, Transaction]] = {}
    order: dict[str, Transaction] = {}
    for partition, transaction in transactions:
        digest = transaction_digest(transaction)
        order.setdefault(digest, transaction)
        cards.setdefault((partition, transaction.card_id), {})[digest] = transaction
    verdicts: dict[str, Verdict] = {}
    judge_by_card = CardJudge(rules)
    for _, own in sorted(cards.items(), key=lambda entry: entry[0]):
        digests = sorted(own, key=lambda digest: (own[digest].event_us, digest))
        history = [own[digest] for digest in digests]
        for digest, (transaction, pasts) in zip(
            digests, pasts_by_span(history, judge_by_card.spans_us), strict=True
        ):
            verdict = judge_by_card(transaction, pasts).verdict
            before = verdicts.get(digest)
            if before is None or len(verdict.rules) > len(before.rules):
                verdicts[digest] = verdict
    for digest, transaction in order.items():
        yield transaction, verdicts[digest]
