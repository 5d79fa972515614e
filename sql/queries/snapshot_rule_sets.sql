SELECT digest, document::text FROM rule_sets
