-- When a batch began, what it brought, and how old that was: for people to look at, nothing is decided by it.
-- NULL in rows that are older than this migration, and where a batch read no record.
ALTER TABLE fraud.batch_ledger
    ADD COLUMN planned_at     timestamptz,  -- when Spark wrote the batch's plan down
    ADD COLUMN oldest_arrival timestamptz,  -- Kafka timestamps of the records read
    ADD COLUMN newest_arrival timestamptz,
    ADD COLUMN counted        bigint;       -- records that the batch added to windows: admitted, and no duplicate
