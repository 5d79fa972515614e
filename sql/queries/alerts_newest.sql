SELECT digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country, channel,
       arrival, rule_set, score, rules, landed_at, published_at
  FROM fraud_alerts
 WHERE (%(since)s::timestamptz IS NULL OR landed_at >= %(since)s)
   AND (%(rule)s::text IS NULL OR %(rule)s = ANY (rules))
 ORDER BY landed_at DESC, digest
 LIMIT %(limit)s::bigint
