-- Instants as exact integers, microseconds since 1970, written out: 'infinity' and the year 294276 fit no bigint.
SELECT trim_scale(extract(epoch FROM window_start) * 1000000)::text,
       trim_scale(extract(epoch FROM window_end) * 1000000)::text,
       category, count, flagged_count, amount_minor, flagged_amount_minor
  FROM fraud_metrics
