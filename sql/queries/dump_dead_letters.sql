SELECT topic, partition, "offset", reason, arrival, payload, payload_bytes
  FROM dead_letters
 ORDER BY topic, partition, "offset"
