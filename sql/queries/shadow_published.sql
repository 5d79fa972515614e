-- What was sent on once is not sent again, also when it is computed anew.
UPDATE fraud_shadow.fraud_alerts AS shadow
   SET published_at = live.published_at
  FROM fraud_alerts AS live
 WHERE live.digest = shadow.digest AND live.published_at IS NOT NULL
