"""The active rules, looked up before every batch, so that a change takes effect at a batch boundary.

The rules are part of the query's plan. If a batch needs other rules, it is abandoned before any of it is
read, and the query (not the detector) is started again with them. A batch that is in the ledger already and
comes again after a crash is evaluated by its earlier rules. Otherwise Spark's state would differ from the
tables.
"""

from fraudctl.database.landing import Landing
from fraudctl.database.rule_sets import StoredRules
from fraudctl.detector.run_again import RunAgainError
from fraudctl.rules.horizon import refuse_beyond
from fraudctl.rules.model import RuleSet, parse_rules


class RulesInForce:
    """The rules that the query is made with, in `now`."""

    def __init__(self, landing: Landing, first: RuleSet, horizon_seconds: int) -> None:
        """Read the active rules, or activate `first`.

        Args:
            landing: reads and activates rules.
            first: the rules to activate if none are active.
            horizon_seconds: look-back of the query's state, which is the limit for every rule, in seconds.

        Raises:
            RefusedError: the active rules look back further than the state reaches.
            ConfigError: they are not valid for this version.
        """
        self._landing = landing
        self._horizon_seconds = horizon_seconds
        self.now = self._read(landing.begin_rules(first.digest, first.document))

    def check(self, query_id: str, batch_id: int) -> None:
        """Check that the query has the rules that must evaluate this batch.

        Raises:
            RunAgainError: the batch needs other rules, which are now in `now`.
            RefusedError: those rules look back further than the state reaches.
            ConfigError: they are not valid for this version.
        """
        wanted = self._landing.wanted_rules(query_id, batch_id, self.now.digest)
        if wanted is not None:
            self.now = self._read(wanted)
            raise RunAgainError(f"rules: {wanted.digest} judge from batch {batch_id} on")

    def _read(self, stored: StoredRules) -> RuleSet:
        rules = parse_rules(stored.document)
        refuse_beyond(rules, self._horizon_seconds)
        return rules
