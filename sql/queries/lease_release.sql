UPDATE pipeline_lease
   SET released = true
 WHERE pipeline = 'detector' AND epoch = %(epoch)s
