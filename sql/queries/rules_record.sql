INSERT INTO rule_sets (digest, document)
VALUES (%(digest)s, %(document)s)
ON CONFLICT (digest) DO NOTHING
