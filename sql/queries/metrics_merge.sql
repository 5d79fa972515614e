-- The golden merge: Spark's update mode gives each window's whole value, so the newest one replaces the row.
INSERT INTO fraud_metrics
       (window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor)
SELECT window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor
  FROM fraud_staging_metrics
ON CONFLICT (window_start, window_end, category) DO UPDATE
   SET count                = EXCLUDED.count,
       flagged_count        = EXCLUDED.flagged_count,
       amount_minor         = EXCLUDED.amount_minor,
       flagged_amount_minor = EXCLUDED.flagged_amount_minor,
       updated_at           = now()
