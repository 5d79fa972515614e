-- Only where no rules are in force yet.
INSERT INTO active_rules (pipeline, rule_set)
VALUES ('detector', %(digest)s)
ON CONFLICT (pipeline) DO NOTHING
