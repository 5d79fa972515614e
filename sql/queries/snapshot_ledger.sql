SELECT query_id::text, batch_id, epoch, cluster_id, topic, topic_id, offsets, intake,
       (extract(epoch FROM watermark) * 1000000)::bigint, fingerprint, replays
  FROM batch_ledger
