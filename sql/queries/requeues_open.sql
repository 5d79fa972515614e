SELECT partition, "offset", attempt, log_end
  FROM dead_letter_requeues
 WHERE topic = %(topic)s AND to_offset IS NULL
 ORDER BY partition, "offset"
