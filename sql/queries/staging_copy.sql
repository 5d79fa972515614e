COPY fraud_staging_metrics
     (window_start, window_end, category, count, flagged_count, amount_minor, flagged_amount_minor)
FROM STDIN
