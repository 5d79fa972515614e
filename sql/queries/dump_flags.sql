-- What the flags say; when one got its present values is not part of it.
SELECT partition, digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country,
       channel, arrival, rule_set, score, rules, alone, query_id, batch_id
  FROM fraud_flags
 ORDER BY partition, digest
