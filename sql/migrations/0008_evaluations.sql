-- What `fraudctl evaluate --store` has found: alerts against labels, as far as these were known at `as_of`.
SET LOCAL ROLE fraud_owner;

CREATE TABLE fraud.evaluations (
    evaluated_at      timestamptz      PRIMARY KEY DEFAULT clock_timestamp(),
    as_of             timestamptz,     -- NULL: every label was taken as known
    source            text             NOT NULL,
    evaluated         bigint           NOT NULL,
    pending           bigint           NOT NULL,  -- left out: so young that a label may still come
    true_positives    bigint           NOT NULL,
    false_positives   bigint           NOT NULL,
    false_negatives   bigint           NOT NULL,
    true_negatives    bigint           NOT NULL,
    auc_roc           double precision,
    average_precision double precision,
    document          jsonb            NOT NULL   -- the whole evaluation, as `--json` prints it
);

-- One row a field of each confusion matrix.
CREATE VIEW fraud.panel_confusion AS
SELECT found.evaluated_at AS "time", found.as_of, cell.said, cell.was, cell.transactions
  FROM fraud.evaluations AS found
 CROSS JOIN LATERAL (VALUES ('alert', 'fraud', found.true_positives),
                            ('alert', 'genuine', found.false_positives),
                            ('no alert', 'fraud', found.false_negatives),
                            ('no alert', 'genuine', found.true_negatives)) AS cell (said, was, transactions);

-- Shares of nothing are NULL.
CREATE VIEW fraud.panel_evaluations AS
SELECT evaluated_at AS "time", as_of, evaluated, pending, auc_roc, average_precision,
       true_positives::double precision / nullif(true_positives + false_positives, 0) AS precision,
       true_positives::double precision / nullif(true_positives + false_negatives, 0) AS recall,
       2.0 * true_positives / nullif(2 * true_positives + false_positives + false_negatives, 0) AS f1,
       (true_positives + false_positives)::double precision / nullif(evaluated, 0) AS alert_rate
  FROM fraud.evaluations;

GRANT SELECT ON fraud.panel_confusion, fraud.panel_evaluations TO fraud_reader;

RESET ROLE;
