-- How many batches have landed, how often one was landed again, and how many landed since an instant.
SELECT count(*), coalesce(sum(replays), 0)::bigint, count(*) FILTER (WHERE committed_at > %(since)s)
  FROM batch_ledger
