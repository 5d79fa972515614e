SELECT offsets, digest
  FROM batch_ledger
 WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s
