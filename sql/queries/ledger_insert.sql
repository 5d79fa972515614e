INSERT INTO batch_ledger
       (query_id, batch_id, epoch, cluster_id, topic, topic_id, offsets, intake, watermark, rows, digest, fingerprint,
        planned_at, oldest_arrival, newest_arrival, counted, rule_set, committed_at)
VALUES (%(query_id)s, %(batch_id)s, %(epoch)s, %(cluster_id)s, %(topic)s, %(topic_id)s,
        %(offsets)s, %(intake)s, %(watermark)s, %(rows)s, %(digest)s, %(fingerprint)s,
        %(planned_at)s, %(oldest_arrival)s, %(newest_arrival)s, %(counted)s, %(rule_set)s, clock_timestamp())
