-- What the alerts say; when one landed or was sent on is not part of it.
SELECT digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country, channel,
       arrival, rule_set, score, rules, query_id, batch_id
  FROM fraud_alerts
 ORDER BY digest
