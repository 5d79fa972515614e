-- Dead letters can be emptied and sent again; that a record was refused stays on record.
ALTER TABLE fraud.dead_letters ADD COLUMN purged_at timestamptz;  -- when the payload was removed

-- One row each time a refused record is sent again. It is written before the sending, and gets the copy's
-- offset after its delivery: an open row is a sending of which nothing was heard.
CREATE TABLE fraud.dead_letter_requeues (
    topic       text        NOT NULL,
    partition   integer     NOT NULL,  -- of the refused record, and of its copy
    "offset"    bigint      NOT NULL,
    attempt     integer     NOT NULL CHECK (attempt > 0),
    log_end     bigint      NOT NULL,  -- where the partition ended just before
    claimed_at  timestamptz NOT NULL DEFAULT now(),
    requeued_at timestamptz,
    to_offset   bigint,
    PRIMARY KEY (topic, partition, "offset", attempt),
    CHECK ((requeued_at IS NULL) = (to_offset IS NULL))
);
