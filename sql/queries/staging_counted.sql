-- How many records the staged batch adds: a window's value is whole, so what it grows by; and of windows that
-- overlap only those that begin at a multiple of their length, because every record lies in exactly one such.
SELECT coalesce(sum(staged.count - coalesce(live.count, 0)), 0)::bigint
  FROM fraud_staging_metrics AS staged
  LEFT JOIN fraud_metrics AS live USING (window_start, window_end, category)
 WHERE mod(extract(epoch FROM window_start)::bigint, extract(epoch FROM window_end - window_start)::bigint) = 0
