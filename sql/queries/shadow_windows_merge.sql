-- Windows wholly inside the range as the replay has them; rows that agree are not touched.
INSERT INTO fraud_metrics AS live
       (window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor)
SELECT window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor
  FROM fraud_shadow.fraud_metrics
 WHERE window_start >= %(begin)s AND window_end <= %(finish)s
ON CONFLICT (window_start, window_end, category) DO UPDATE
   SET count                = EXCLUDED.count,
       flagged_count        = EXCLUDED.flagged_count,
       amount_minor         = EXCLUDED.amount_minor,
       flagged_amount_minor = EXCLUDED.flagged_amount_minor,
       updated_at           = now()
 WHERE (live.count, live.flagged_count, live.amount_minor, live.flagged_amount_minor)
       IS DISTINCT FROM
       (EXCLUDED.count, EXCLUDED.flagged_count, EXCLUDED.amount_minor, EXCLUDED.flagged_amount_minor)
