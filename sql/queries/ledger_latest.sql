-- The newest batch: every run of the detector has a higher epoch than the one before it, whatever the clock says.
SELECT query_id::text, batch_id, cluster_id, topic, topic_id, fingerprint, offsets
  FROM batch_ledger
 ORDER BY epoch DESC, batch_id DESC
 LIMIT 1
