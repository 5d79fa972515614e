UPDATE fraud_alerts
   SET published_at = clock_timestamp()
 WHERE digest = ANY (%(digests)s) AND published_at IS NULL
