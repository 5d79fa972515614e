SELECT partition, digest, transaction_id, card_id, merchant_id,
       trim_scale(extract(epoch FROM event_time) * 1000000)::text,
       category, amount_minor, currency, country, channel, trim_scale(extract(epoch FROM arrival) * 1000000)::text,
       rule_set, score, array_to_string(rules, ',', '?'), alone, query_id::text, batch_id
  FROM fraud_flags
