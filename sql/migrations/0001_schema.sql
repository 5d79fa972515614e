-- The pipeline's tables. timestamptz only: an instant, never a wall-clock reading.
CREATE SCHEMA fraud;

CREATE TABLE fraud.fraud_metrics (
    window_start         timestamptz NOT NULL,
    window_end           timestamptz NOT NULL,
    category             text        NOT NULL,
    count                bigint      NOT NULL CHECK (count > 0),
    flagged_count        bigint      NOT NULL CHECK (flagged_count BETWEEN 0 AND count),
    amount_minor         bigint      NOT NULL,
    flagged_amount_minor bigint      NOT NULL,
    updated_at           timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (window_start, window_end, category)
);
-- Room on each page keeps the merge's updates on the same page (HOT); no index has a changing column.
ALTER TABLE fraud.fraud_metrics SET (fillfactor = 70);

-- Rows of the micro-batch that is being landed; emptied and filled again inside the merge's transaction.
CREATE TABLE fraud.fraud_staging_metrics (
    window_start         timestamptz NOT NULL,
    window_end           timestamptz NOT NULL,
    category             text        NOT NULL,
    count                bigint      NOT NULL,
    flagged_count        bigint      NOT NULL,
    amount_minor         bigint      NOT NULL,
    flagged_amount_minor bigint      NOT NULL
);

-- Who may write. The row is locked by every merge, so a detector that lost its epoch cannot commit.
CREATE TABLE fraud.pipeline_lease (
    pipeline    text        PRIMARY KEY,
    epoch       bigint      NOT NULL,
    holder      text        NOT NULL,
    acquired_at timestamptz NOT NULL DEFAULT now()
);
INSERT INTO fraud.pipeline_lease (pipeline, epoch, holder) VALUES ('detector', 0, '');

-- One row per landed micro-batch, written in the same transaction as its windows.
CREATE TABLE fraud.batch_ledger (
    query_id     uuid        NOT NULL,
    batch_id     bigint      NOT NULL,
    epoch        bigint      NOT NULL,
    cluster_id   text        NOT NULL,
    topic        text        NOT NULL,
    topic_id     text        NOT NULL,
    offsets      jsonb       NOT NULL,  -- {"<partition>": [first, one past the last]}
    intake       jsonb       NOT NULL,  -- {"<partition>": {"admitted": n, "<reason>": n}}
    watermark    timestamptz NOT NULL,  -- in force for this batch, as Spark's checkpoint has it
    rows         bigint      NOT NULL,
    digest       text        NOT NULL,  -- SHA-256 of the landed rows
    fingerprint  text        NOT NULL,  -- SHA-256 of the settings that decide a number
    replays      integer     NOT NULL DEFAULT 0,
    committed_at timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (query_id, batch_id)
);

CREATE TABLE fraud.dead_letters (
    topic         text        NOT NULL,
    partition     integer     NOT NULL,
    "offset"      bigint      NOT NULL,
    reason        text        NOT NULL,
    arrival       timestamptz NOT NULL,  -- the record's Kafka timestamp
    payload       bytea       NOT NULL,  -- the first bytes of the message
    payload_bytes bigint      NOT NULL,  -- the length of the whole message
    recorded_at   timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (topic, partition, "offset")
);
CREATE INDEX dead_letters_reason ON fraud.dead_letters (reason, arrival);
