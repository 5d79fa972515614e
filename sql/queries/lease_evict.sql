-- Take the lease from the very holder that was looked at, and leave it free.
UPDATE pipeline_lease
   SET epoch = epoch + 1, holder = %(by)s, process = '', released = true
 WHERE pipeline = 'detector' AND epoch = %(epoch)s
RETURNING epoch
