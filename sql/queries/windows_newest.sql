-- The newest windows, one row each, all categories side by side.
SELECT window_start, window_end,
       jsonb_object_agg(category, jsonb_build_array(count, flagged_count)) AS by_category
  FROM window_totals
 GROUP BY window_start, window_end
 ORDER BY window_start DESC
 LIMIT %(limit)s
