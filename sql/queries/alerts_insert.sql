-- A copy of a transaction that comes in a later batch raises no second alert.
INSERT INTO fraud_alerts
       (digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country, channel,
        arrival, rule_set, score, rules, query_id, batch_id)
SELECT digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country, channel,
       arrival, %(rule_set)s, score, string_to_array(rules, ','), %(query_id)s, %(batch_id)s
  FROM unnest(%(digests)s::text[], %(transactions)s::text[], %(cards)s::text[], %(merchants)s::text[],
              %(event_times)s::timestamptz[], %(categories)s::text[], %(amounts)s::bigint[], %(currencies)s::text[],
              %(countries)s::text[], %(channels)s::text[], %(arrivals)s::timestamptz[], %(scores)s::integer[],
              %(rules)s::text[])
       AS alert (digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country,
                 channel, arrival, score, rules)
ON CONFLICT (digest) DO NOTHING
