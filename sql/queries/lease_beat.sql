-- The sign of life, and the fence: in a merge the row stays locked until the transaction ends, so no other
-- epoch can begin in between.
UPDATE pipeline_lease
   SET heartbeat_at = clock_timestamp()
 WHERE pipeline = 'detector' AND epoch = %(epoch)s
RETURNING epoch
