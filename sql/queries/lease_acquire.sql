-- Compare and set: of any number of detectors that ask at once, exactly one gets a row back. Who waits here
-- for another's transaction sees that one's outcome in the condition.
UPDATE pipeline_lease
   SET epoch = epoch + 1, holder = %(holder)s, process = %(process)s, acquired_at = now(),
       heartbeat_at = clock_timestamp(), lease_seconds = %(lease_seconds)s, released = false
 WHERE pipeline = 'detector'
   AND (released OR heartbeat_at + make_interval(secs => lease_seconds) < clock_timestamp())
RETURNING epoch
