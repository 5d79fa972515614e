UPDATE dead_letter_requeues AS requeue
   SET to_offset = place.to_offset, requeued_at = now()
  FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(attempts)s::integer[],
              %(to_offsets)s::bigint[]) AS place (partition, "offset", attempt, to_offset)
 WHERE requeue.topic = %(topic)s AND requeue.partition = place.partition
   AND requeue."offset" = place."offset" AND requeue.attempt = place.attempt
