-- What rules on a card's past have matched: one row a transaction and partition.
SET LOCAL ROLE fraud_owner;

-- Written in the transaction that lands the batch; judged anew, a row is replaced, and never removed.
CREATE TABLE fraud.fraud_flags (
    partition      integer     NOT NULL,  -- that the transaction was read from: its card's past is that partition's
    digest         text        NOT NULL,  -- SHA-256 over all fields, as in fraud_alerts
    transaction_id text        NOT NULL,
    card_id        text        NOT NULL,
    merchant_id    text        NOT NULL,
    event_time     timestamptz NOT NULL,
    category       text        NOT NULL,
    amount_minor   bigint      NOT NULL,
    currency       text        NOT NULL,
    country        text        NOT NULL,
    channel        text        NOT NULL,
    arrival        timestamptz NOT NULL,  -- Kafka timestamp of the first copy in this partition
    rule_set       text        NOT NULL,  -- of the batch that judged it last
    score          integer     NOT NULL CHECK (score BETWEEN 0 AND 100),
    rules          text[]      NOT NULL,  -- ids of all rules that matched, those without `card` as well
    alone          boolean     NOT NULL,  -- no rule without `card` matched: fraud_metrics counts it as not flagged
    query_id       uuid        NOT NULL,
    batch_id       bigint      NOT NULL,
    landed_at      timestamptz NOT NULL DEFAULT clock_timestamp(),  -- when the row got its present values
    PRIMARY KEY (partition, digest)
);
-- What the windows lack.
CREATE INDEX fraud_flags_alone ON fraud.fraud_flags (category, event_time) WHERE alone;

-- Of a row that is there, only what another judgement may change; the rest is what the digest names.
GRANT SELECT, INSERT, UPDATE (arrival, rule_set, score, rules, alone, query_id, batch_id, landed_at)
    ON fraud.fraud_flags TO fraud_writer;

-- One row a flag, with the reasons of its rules.
CREATE VIEW fraud.panel_flags AS
SELECT flag.landed_at AS "time", flag.event_time, flag.partition, flag.transaction_id, flag.card_id,
       flag.merchant_id, flag.category, flag.amount_minor, flag.currency, flag.country, flag.channel, flag.score,
       flag.rules, flag.rule_set, flag.alone,
       (SELECT string_agg(rule ->> 'reason', '; ' ORDER BY place)
          FROM jsonb_array_elements(chosen.document -> 'rules') WITH ORDINALITY AS each (rule, place)
         WHERE rule ->> 'id' = ANY (flag.rules)) AS reasons,
       extract(epoch FROM flag.landed_at - flag.arrival)::double precision AS latency_seconds
  FROM fraud.fraud_flags AS flag
  LEFT JOIN fraud.rule_sets AS chosen ON chosen.digest = flag.rule_set;

-- Every window with all that some rule flags, be it one on a card's past: copies in two partitions count once.
-- Never more than there is: when rules change, a transaction in flagged_count may come to be flagged `alone` as well.
CREATE VIEW fraud.window_totals AS
SELECT metrics.window_start, metrics.window_end, metrics.category, metrics.count,
       least(metrics.flagged_count + more.flagged, metrics.count) AS flagged_count,
       metrics.amount_minor,
       least(metrics.flagged_amount_minor + more.amount_minor, metrics.amount_minor) AS flagged_amount_minor
  FROM fraud.fraud_metrics AS metrics
 CROSS JOIN LATERAL (
       SELECT count(*) AS flagged, coalesce(sum(each.amount_minor), 0)::bigint AS amount_minor
         FROM (SELECT DISTINCT flag.digest, flag.amount_minor
                 FROM fraud.fraud_flags AS flag
                WHERE flag.alone AND flag.category = metrics.category
                  AND flag.event_time >= metrics.window_start AND flag.event_time < metrics.window_end) AS each
       ) AS more;

CREATE OR REPLACE VIEW fraud.panel_slices AS
SELECT window_start AS "time", window_end, category,
       count AS transactions, flagged_count AS flagged, amount_minor, flagged_amount_minor
  FROM fraud.window_totals
 WHERE extract(epoch FROM window_start)::bigint % extract(epoch FROM window_end - window_start)::bigint = 0;

CREATE OR REPLACE VIEW fraud.panel_windows AS
SELECT window_end AS "time", window_start, category,
       count AS transactions, flagged_count AS flagged, flagged_count::double precision / count AS flagged_share,
       amount_minor, flagged_amount_minor
  FROM fraud.window_totals;

GRANT SELECT ON fraud.panel_flags TO fraud_reader;

RESET ROLE;
