-- A rule set may hold a forest, and then its document is large: what its rules say is taken out of it once a query,
-- not once a row.
SET LOCAL ROLE fraud_owner;

CREATE OR REPLACE VIEW fraud.panel_alerts AS
  WITH said AS MATERIALIZED (
       SELECT digest, rule ->> 'id' AS id, rule ->> 'reason' AS reason, place
         FROM fraud.rule_sets
        CROSS JOIN LATERAL jsonb_array_elements(document -> 'rules') WITH ORDINALITY AS each (rule, place))
SELECT alert.landed_at AS "time", alert.event_time, alert.transaction_id, alert.card_id, alert.merchant_id,
       alert.category, alert.amount_minor, alert.currency, alert.country, alert.channel, alert.score,
       alert.rules, alert.rule_set,
       (SELECT string_agg(reason, '; ' ORDER BY place)
          FROM said WHERE said.digest = alert.rule_set AND said.id = ANY (alert.rules)) AS reasons,
       extract(epoch FROM alert.landed_at - alert.arrival)::double precision AS latency_seconds,
       alert.published_at
  FROM fraud.fraud_alerts AS alert;

CREATE OR REPLACE VIEW fraud.panel_flags AS
  WITH said AS MATERIALIZED (
       SELECT digest, rule ->> 'id' AS id, rule ->> 'reason' AS reason, place
         FROM fraud.rule_sets
        CROSS JOIN LATERAL jsonb_array_elements(document -> 'rules') WITH ORDINALITY AS each (rule, place))
SELECT flag.landed_at AS "time", flag.event_time, flag.partition, flag.transaction_id, flag.card_id,
       flag.merchant_id, flag.category, flag.amount_minor, flag.currency, flag.country, flag.channel, flag.score,
       flag.rules, flag.rule_set, flag.alone,
       (SELECT string_agg(reason, '; ' ORDER BY place)
          FROM said WHERE said.digest = flag.rule_set AND said.id = ANY (flag.rules)) AS reasons,
       extract(epoch FROM flag.landed_at - flag.arrival)::double precision AS latency_seconds
  FROM fraud.fraud_flags AS flag;

RESET ROLE;
