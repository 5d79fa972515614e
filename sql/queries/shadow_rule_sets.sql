INSERT INTO rule_sets
TABLE fraud_shadow.rule_sets
ON CONFLICT (digest) DO NOTHING
