UPDATE pipeline_lease
   SET epoch = epoch + 1, holder = %(holder)s, acquired_at = now()
 WHERE pipeline = 'detector'
RETURNING epoch
