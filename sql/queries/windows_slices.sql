-- Windows that do not overlap: every event lies in length/slide windows, but in exactly one of these.
SELECT window_start, category, count, flagged_count
  FROM window_totals
 WHERE extract(epoch FROM window_start)::bigint %% %(length_seconds)s::bigint = 0
   AND window_end - window_start = make_interval(secs => %(length_seconds)s)
 ORDER BY window_start, category
