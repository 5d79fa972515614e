SELECT count(*)
  FROM dead_letters
 WHERE topic = %(topic)s AND purged_at IS NULL AND recorded_at < %(before)s
   AND (%(reason)s::text IS NULL OR reason = %(reason)s)
