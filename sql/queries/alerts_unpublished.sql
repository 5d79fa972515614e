-- The oldest alerts that are still to be sent.
SELECT digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country, channel,
       arrival, rule_set, score, rules, landed_at, published_at
  FROM fraud_alerts
 WHERE published_at IS NULL
 ORDER BY landed_at, digest
 LIMIT %(limit)s
