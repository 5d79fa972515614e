SELECT active.rule_set, chosen.document, active.since
  FROM active_rules AS active
  LEFT JOIN rule_sets AS chosen ON chosen.digest = active.rule_set
 WHERE active.pipeline = 'detector'
