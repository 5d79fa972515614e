SELECT letter.reason,
       count(*),
       count(*) FILTER (WHERE EXISTS (
           SELECT FROM dead_letter_requeues AS sent
            WHERE sent.topic = letter.topic AND sent.partition = letter.partition
              AND sent."offset" = letter."offset" AND sent.to_offset IS NOT NULL)),
       count(letter.purged_at)
  FROM dead_letters AS letter
 WHERE letter.topic = %(topic)s
   AND (%(reason)s::text IS NULL OR letter.reason = %(reason)s)
   AND (%(since)s::timestamptz IS NULL OR letter.arrival >= %(since)s)
   AND (%(partition)s::integer IS NULL OR letter.partition = %(partition)s)
   AND (%(offset)s::bigint IS NULL OR letter."offset" = %(offset)s)
 GROUP BY letter.reason
 ORDER BY count(*) DESC, letter.reason
