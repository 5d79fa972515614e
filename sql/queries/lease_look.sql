SELECT epoch, holder, process, lease_seconds,
       extract(epoch FROM clock_timestamp() - heartbeat_at)::double precision AS silent_seconds,
       released OR heartbeat_at + make_interval(secs => lease_seconds) < clock_timestamp() AS free
  FROM pipeline_lease
 WHERE pipeline = 'detector'
