-- A batch that has landed is judged by the rules that judged it then, any other one by those in force. No row if
-- these are the known ones: a document with a forest in it is large.
SELECT wanted.rule_set, chosen.document
  FROM (SELECT coalesce((SELECT rule_set FROM batch_ledger
                          WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s),
                        (SELECT rule_set FROM active_rules WHERE pipeline = 'detector')) AS rule_set) AS wanted
  LEFT JOIN rule_sets AS chosen ON chosen.digest = wanted.rule_set
 WHERE wanted.rule_set <> %(known)s
