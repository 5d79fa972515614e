-- A transaction that is judged anew: what the newest batch says of it, in the place of what an older one said.
INSERT INTO fraud_flags
       (partition, digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country,
        channel, arrival, rule_set, score, rules, alone, query_id, batch_id)
SELECT partition, digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency, country,
       channel, arrival, %(rule_set)s, score, string_to_array(rules, ','), alone, %(query_id)s, %(batch_id)s
  FROM unnest(%(partitions)s::integer[], %(digests)s::text[], %(transactions)s::text[], %(cards)s::text[],
              %(merchants)s::text[], %(event_times)s::timestamptz[], %(categories)s::text[], %(amounts)s::bigint[],
              %(currencies)s::text[], %(countries)s::text[], %(channels)s::text[], %(arrivals)s::timestamptz[],
              %(scores)s::integer[], %(rules)s::text[], %(alone)s::boolean[])
       AS flag (partition, digest, transaction_id, card_id, merchant_id, event_time, category, amount_minor, currency,
                country, channel, arrival, score, rules, alone)
ON CONFLICT (partition, digest) DO UPDATE
   SET arrival   = EXCLUDED.arrival,
       rule_set  = EXCLUDED.rule_set,
       score     = EXCLUDED.score,
       rules     = EXCLUDED.rules,
       alone     = EXCLUDED.alone,
       query_id  = EXCLUDED.query_id,
       batch_id  = EXCLUDED.batch_id,
       landed_at = EXCLUDED.landed_at
