INSERT INTO dead_letter_requeues (topic, partition, "offset", attempt, log_end)
SELECT %(topic)s, place.partition, place."offset",
       1 + coalesce((SELECT max(attempt) FROM dead_letter_requeues AS before
                      WHERE before.topic = %(topic)s AND before.partition = place.partition
                        AND before."offset" = place."offset"), 0),
       place.log_end
  FROM unnest(%(partitions)s::integer[], %(offsets)s::bigint[], %(log_ends)s::bigint[])
       AS place (partition, "offset", log_end)
RETURNING partition, "offset", attempt, log_end
