"""Which rules judge: looked up before every batch, so that a change takes effect at a batch boundary.

The rules are part of the query's plan. When others are wanted, the batch that is about to run is given up
before anything of it was read, and the query, not the detector, is started anew with them. A batch that has
landed already, and comes again after a crash, is judged by the rules that judged it then: Spark's state would
otherwise differ from what has landed.
"""

from fraudctl.database.landing import Landing
from fraudctl.database.rule_sets import StoredRules
from fraudctl.detector.run_again import RunAgainError
from fraudctl.rules.horizon import refuse_beyond
from fraudctl.rules.model import RuleSet, parse_rules


class RulesInForce:
    """`first`: the rules of a pipeline that has none yet; `now`: those that the query is to be made with.

    `horizon_seconds`: how far back the query's state reaches, and so any rule may look.
    """

    def __init__(self, landing: Landing, first: RuleSet, horizon_seconds: int) -> None:
        """
        Raises:
            RefusedError, ConfigError: as `check` does.
        """
        self._landing = landing
        self._horizon_seconds = horizon_seconds
        self.now = self._read(landing.begin_rules(first.digest, first.document))

    def check(self, query_id: str, batch_id: int) -> None:
        """
        Raises:
            RunAgainError: this batch is to be judged by other rules, which are in `now` from here on.
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
