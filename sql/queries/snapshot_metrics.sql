-- Instants as exact integers: microseconds since 1970.
SELECT (extract(epoch FROM window_start) * 1000000)::bigint,
       (extract(epoch FROM window_end) * 1000000)::bigint,
       category, count, flagged_count, amount_minor, flagged_amount_minor
  FROM fraud_metrics
