-- The rebuilt ledger is the work of the epoch that puts it in place.
UPDATE batch_ledger SET epoch = %(epoch)s
