SELECT topic, partition, "offset", reason
  FROM fraud.dead_letters
