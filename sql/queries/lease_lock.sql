-- The fence: held until the merge's transaction ends, so no other epoch can begin in between.
SELECT epoch, holder
  FROM pipeline_lease
 WHERE pipeline = 'detector'
   FOR NO KEY UPDATE
