-- Which rules judged each batch, which judge the next one, and what they raised.
SET LOCAL ROLE fraud_owner;

-- Every version of the rules that was ever in force. Rows are added, and never changed or removed.
CREATE TABLE fraud.rule_sets (
    digest      text        PRIMARY KEY,  -- SHA-256 of the document, as fraudctl/rules/model.py defines it
    document    jsonb       NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT now()
);

-- The version that the detector takes up before its next batch.
CREATE TABLE fraud.active_rules (
    pipeline text        PRIMARY KEY,
    rule_set text        NOT NULL,
    since    timestamptz NOT NULL DEFAULT now()
);

ALTER TABLE fraud.batch_ledger ADD COLUMN rule_set text;  -- that judged the batch; NULL in older rows

-- One row a transaction that raised an alert, written in the transaction that lands its batch.
CREATE TABLE fraud.fraud_alerts (
    digest         text        PRIMARY KEY,  -- SHA-256 over all fields: one id with two payloads is two alerts
    transaction_id text        NOT NULL,
    card_id        text        NOT NULL,
    merchant_id    text        NOT NULL,
    event_time     timestamptz NOT NULL,
    category       text        NOT NULL,
    amount_minor   bigint      NOT NULL,
    currency       text        NOT NULL,
    country        text        NOT NULL,
    channel        text        NOT NULL,
    arrival        timestamptz NOT NULL,  -- Kafka timestamp of the first copy in the batch
    rule_set       text        NOT NULL,
    score          integer     NOT NULL CHECK (score BETWEEN 0 AND 100),
    rules          text[]      NOT NULL,  -- ids of the rules that matched
    query_id       uuid        NOT NULL,
    batch_id       bigint      NOT NULL,
    landed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),
    published_at   timestamptz            -- NULL: still to be sent to the alerts topic
);
CREATE INDEX fraud_alerts_landed ON fraud.fraud_alerts (landed_at);
CREATE INDEX fraud_alerts_unpublished ON fraud.fraud_alerts (landed_at) WHERE published_at IS NULL;

-- The first detector of a pipeline puts its rules in force; changing them is up to whoever owns the pipeline.
GRANT SELECT, INSERT ON fraud.rule_sets, fraud.active_rules TO fraud_writer;
-- To send an alert on, the detector reads it; of what it has landed it may only say that it was sent.
GRANT SELECT, INSERT, UPDATE (published_at) ON fraud.fraud_alerts TO fraud_writer;

CREATE VIEW fraud.panel_alerts AS
SELECT alert.landed_at AS "time", alert.event_time, alert.transaction_id, alert.card_id, alert.merchant_id,
       alert.category, alert.amount_minor, alert.currency, alert.country, alert.channel, alert.score,
       alert.rules, alert.rule_set,
       (SELECT string_agg(rule ->> 'reason', '; ' ORDER BY place)
          FROM jsonb_array_elements(chosen.document -> 'rules') WITH ORDINALITY AS each (rule, place)
         WHERE rule ->> 'id' = ANY (alert.rules)) AS reasons,
       extract(epoch FROM alert.landed_at - alert.arrival)::double precision AS latency_seconds,
       alert.published_at
  FROM fraud.fraud_alerts AS alert
  LEFT JOIN fraud.rule_sets AS chosen ON chosen.digest = alert.rule_set;

-- How long it took from arrival to the alert, by the minute in which the alerts landed.
CREATE VIEW fraud.panel_alert_latency AS
SELECT date_trunc('minute', landed_at, 'UTC') AS "time", count(*) AS alerts,
       percentile_cont(0.5) WITHIN GROUP (ORDER BY extract(epoch FROM landed_at - arrival)::double precision)
           AS p50_seconds,
       percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM landed_at - arrival)::double precision)
           AS p99_seconds
  FROM fraud.fraud_alerts
 GROUP BY 1;

-- Since when each version of the rules has been judging, and how many batches and alerts are its own.
CREATE VIEW fraud.panel_rule_sets AS
SELECT ledger.rule_set, min(ledger.committed_at) AS "time", max(ledger.committed_at) AS until,
       count(*) AS batches,
       (SELECT count(*) FROM fraud.fraud_alerts AS alert WHERE alert.rule_set = ledger.rule_set) AS alerts
  FROM fraud.batch_ledger AS ledger
 WHERE ledger.rule_set IS NOT NULL
 GROUP BY ledger.rule_set;

GRANT SELECT ON fraud.panel_alerts, fraud.panel_alert_latency, fraud.panel_rule_sets TO fraud_reader;

RESET ROLE;
