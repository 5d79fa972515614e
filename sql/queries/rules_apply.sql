INSERT INTO active_rules (pipeline, rule_set)
VALUES ('detector', %(digest)s)
ON CONFLICT (pipeline) DO UPDATE
   SET rule_set = EXCLUDED.rule_set, since = now()
 WHERE active_rules.rule_set <> EXCLUDED.rule_set
