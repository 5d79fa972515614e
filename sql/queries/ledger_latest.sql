SELECT query_id::text, batch_id, cluster_id, topic, topic_id, fingerprint
  FROM batch_ledger
 ORDER BY committed_at DESC, batch_id DESC
 LIMIT 1
