-- How many alerts there are, how many of them were sent on, and how long each took from arrival to the table.
SELECT count(*), count(published_at),
       percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP
           (ORDER BY extract(epoch FROM landed_at - arrival)::double precision),
       percentile_cont(ARRAY[0.5, 0.99]) WITHIN GROUP
           (ORDER BY extract(epoch FROM published_at - landed_at)::double precision)
  FROM fraud_alerts
 WHERE (%(since)s::timestamptz IS NULL OR landed_at >= %(since)s)
   AND (%(rule)s::text IS NULL OR %(rule)s = ANY (rules))
