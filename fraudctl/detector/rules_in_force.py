"""Which rules judge: looked up before every batch, so that a change takes effect at a batch boundary.

The rules are part of the query's plan. When others are wanted, the batch that is about to run is given up
before anything of it was read, and the query, not the detector, is started anew with them. A batch that has
landed already, and comes again after a crash, is judged by the rules that judged it then: Spark's state would
otherwise differ from what has landed.
"""

from fraudctl.database.landing import Landing
from fraudctl.detector.run_again import RunAgainError
from fraudctl.rules.model import RuleSet, parse_rules


class RulesInForce:
    """`first`: the rules of a pipeline that has none yet; `now`: those that the query is to be made with."""

    def __init__(self, landing: Landing, first: RuleSet) -> None:
        self._landing = landing
        self.now = parse_rules(landing.begin_rules(first.digest, first.document).document)

    def check(self, query_id: str, batch_id: int) -> None:
        """
        Raises:
            RunAgainError: this batch is to be judged by other rules, which are in `now` from here on.
            ConfigError: those rules are not valid for this version.
        """
        wanted = self._landing.wanted_rules(query_id, batch_id)
        if wanted is not None and wanted.digest != self.now.digest:
            self.now = parse_rules(wanted.document)
            raise RunAgainError(f"rules: {wanted.digest} judge from batch {batch_id} on")
