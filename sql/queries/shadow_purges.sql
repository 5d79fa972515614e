-- A payload that was purged stays purged, also when the log still has it.
UPDATE fraud_shadow.dead_letters AS shadow
   SET payload = live.payload, purged_at = live.purged_at
  FROM dead_letters AS live
 WHERE live.purged_at IS NOT NULL
   AND (live.topic, live.partition, live."offset") = (shadow.topic, shadow.partition, shadow."offset")
