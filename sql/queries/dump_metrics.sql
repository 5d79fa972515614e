-- What the windows say, in an order of their own; when a row was written is not part of it.
SELECT window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor
  FROM fraud_metrics
 ORDER BY window_start, window_end, category
