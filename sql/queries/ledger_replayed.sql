UPDATE batch_ledger
   SET replays = replays + 1
 WHERE query_id = %(query_id)s AND batch_id = %(batch_id)s
