SELECT count(*) FROM batch_ledger
