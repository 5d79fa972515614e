-- Nobody lands anything until this transaction ends.
SELECT epoch FROM pipeline_lease WHERE pipeline = 'detector' FOR NO KEY UPDATE
