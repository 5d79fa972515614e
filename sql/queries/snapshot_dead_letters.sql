SELECT topic, partition, "offset", reason
  FROM dead_letters
