-- The lease: who holds it, when the holder was last heard of by the database's own clock, and whether it has
-- been given back. The defaults describe a lease that is free.
ALTER TABLE fraud.pipeline_lease
    ADD COLUMN process       text             NOT NULL DEFAULT '',  -- machine, boot, pid and start of the holder
    ADD COLUMN heartbeat_at  timestamptz      NOT NULL DEFAULT now(),
    ADD COLUMN lease_seconds double precision NOT NULL DEFAULT 0,   -- silent for longer: anybody may have it
    ADD COLUMN released      boolean          NOT NULL DEFAULT true;
