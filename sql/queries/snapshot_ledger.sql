-- As text what may have any shape: a row that nobody can read is to be named, and not to end the reading.
SELECT query_id::text, batch_id, epoch, cluster_id, topic, topic_id, offsets::text, intake::text,
       trim_scale(extract(epoch FROM watermark) * 1000000)::text, fingerprint, replays, rule_set
  FROM batch_ledger
