-- Of the payload its digest: all of them together may be larger than memory.
SELECT topic, partition, "offset", reason, trim_scale(extract(epoch FROM arrival) * 1000000)::text,
       payload_bytes, octet_length(payload), sha256(payload), purged_at IS NOT NULL
  FROM dead_letters
 ORDER BY topic COLLATE "C", partition, "offset"
