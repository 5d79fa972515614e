SELECT letter.topic, letter.partition, letter."offset", letter.reason, letter.arrival, letter.recorded_at,
       letter.payload, letter.payload_bytes, letter.purged_at,
       sent.attempts, sent.requeued_at, sent.to_offset
  FROM dead_letters AS letter
 CROSS JOIN LATERAL (
       SELECT count(*) AS attempts,
              max(requeued_at) AS requeued_at,
              (array_agg(to_offset ORDER BY attempt DESC))[1] AS to_offset
         FROM dead_letter_requeues
        WHERE topic = letter.topic AND partition = letter.partition AND "offset" = letter."offset"
          AND to_offset IS NOT NULL) AS sent
 WHERE letter.topic = %(topic)s
   AND (%(reason)s::text IS NULL OR letter.reason = %(reason)s)
   AND (letter.partition, letter."offset") > (%(after_partition)s::integer, %(after_offset)s::bigint)
   AND letter.recorded_at < %(recorded_before)s::timestamptz
 ORDER BY letter.partition, letter."offset"
 LIMIT %(limit)s::bigint
