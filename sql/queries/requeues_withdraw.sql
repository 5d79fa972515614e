DELETE FROM dead_letter_requeues AS requeue
 USING unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(attempts)s::integer[])
       AS place (partition, "offset", attempt)
 WHERE requeue.topic = %(topic)s AND requeue.partition = place.partition
   AND requeue."offset" = place."offset" AND requeue.attempt = place.attempt
   AND requeue.to_offset IS NULL
