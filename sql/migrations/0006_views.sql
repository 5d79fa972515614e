-- What dashboards may see. A view reads its tables with the rights of its owner, so fraud_reader needs none on
-- them, and what is in no view (payloads of refused records, for one) cannot be reached.
SET LOCAL ROLE fraud_owner;

-- Windows overlap: every counted record lies in length/slide of them, so their sum counts it that often. Of
-- those that begin at a multiple of their own length since 1970 it lies in exactly one: these may be added up.
CREATE VIEW fraud.panel_slices AS
SELECT window_start AS "time", window_end, category,
       count AS transactions, flagged_count AS flagged, amount_minor, flagged_amount_minor
  FROM fraud.fraud_metrics
 WHERE extract(epoch FROM window_start)::bigint % extract(epoch FROM window_end - window_start)::bigint = 0;

-- Every window, at its end: how much there was in the window's length before. Never to be added up over time.
CREATE VIEW fraud.panel_windows AS
SELECT window_end AS "time", window_start, category,
       count AS transactions, flagged_count AS flagged, flagged_count::double precision / count AS flagged_share,
       amount_minor, flagged_amount_minor
  FROM fraud.fraud_metrics;

-- Refused records at their arrival, without a byte of what they held.
CREATE VIEW fraud.panel_dead_letters AS
SELECT letter.arrival AS "time", letter.recorded_at, letter.topic, letter.partition, letter."offset",
       letter.reason, letter.payload_bytes, letter.purged_at IS NOT NULL AS purged,
       EXISTS (SELECT FROM fraud.dead_letter_requeues AS sent
                WHERE sent.topic = letter.topic AND sent.partition = letter.partition
                  AND sent."offset" = letter."offset" AND sent.to_offset IS NOT NULL) AS requeued
  FROM fraud.dead_letters AS letter;

-- What became of the records of each batch, by partition, when the batch landed.
CREATE VIEW fraud.panel_intake AS
SELECT ledger.committed_at AS "time", ledger.query_id, ledger.batch_id, ledger.topic,
       part.key::integer AS partition, fate.key AS fate, fate.value::bigint AS records
  FROM fraud.batch_ledger AS ledger,
       jsonb_each(ledger.intake) AS part,
       jsonb_each_text(part.value) AS fate;

-- One row a batch, when it landed. Latencies are those of its oldest and newest record, from arrival to here.
CREATE VIEW fraud.panel_batches AS
SELECT ledger.committed_at AS "time", ledger.query_id, ledger.batch_id, ledger.epoch, ledger.topic,
       span.records_read, fates.admitted, fates.late, fates.future, fates.refused,
       ledger.counted, fates.admitted - ledger.counted AS duplicates,
       ledger.rows, ledger.replays,
       extract(epoch FROM ledger.committed_at - ledger.planned_at)::double precision AS batch_seconds,
       extract(epoch FROM ledger.committed_at - ledger.oldest_arrival)::double precision AS slowest_seconds,
       extract(epoch FROM ledger.committed_at - ledger.newest_arrival)::double precision AS fastest_seconds,
       CASE WHEN ledger.watermark > 'epoch' THEN ledger.watermark END AS watermark,  -- none in the first batch
       CASE WHEN ledger.watermark > 'epoch' THEN
            extract(epoch FROM ledger.newest_arrival - ledger.watermark)::double precision
       END AS watermark_lag_seconds
  FROM fraud.batch_ledger AS ledger
 CROSS JOIN LATERAL (
       SELECT coalesce(sum((value ->> 1)::bigint - (value ->> 0)::bigint), 0)::bigint AS records_read
         FROM jsonb_each(ledger.offsets)) AS span
 CROSS JOIN LATERAL (
       SELECT coalesce(sum(fate.value::bigint) FILTER (WHERE fate.key = 'admitted'), 0)::bigint AS admitted,
              coalesce(sum(fate.value::bigint) FILTER (WHERE fate.key = 'late'), 0)::bigint AS late,
              coalesce(sum(fate.value::bigint) FILTER (WHERE fate.key = 'future'), 0)::bigint AS future,
              coalesce(sum(fate.value::bigint) FILTER (WHERE fate.key <> 'admitted'), 0)::bigint AS refused
         FROM jsonb_each(ledger.intake) AS part, jsonb_each_text(part.value) AS fate) AS fates;

-- Who writes, and since when nothing has been heard of it.
CREATE VIEW fraud.panel_lease AS
SELECT pipeline, epoch, holder, acquired_at, heartbeat_at,
       extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision AS silent_seconds,
       CASE WHEN released THEN 'free'
            WHEN heartbeat_at + make_interval(secs => lease_seconds) < clock_timestamp() THEN 'silent'
            ELSE 'held'
       END AS state
  FROM fraud.pipeline_lease;

GRANT SELECT ON fraud.panel_slices, fraud.panel_windows, fraud.panel_dead_letters, fraud.panel_intake,
                fraud.panel_batches, fraud.panel_lease
   TO fraud_reader;

RESET ROLE;
