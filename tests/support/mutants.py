"""What can be done to a sound landed state, each with a line that the report of `verify` must then hold."""

from dataclasses import dataclass

from tests.support.landed import QUERY, RULES

METRICS = "UPDATE fraud.fraud_metrics SET"
FOOD = "WHERE window_start = '2026-03-10 11:55Z'"
LEDGER = "UPDATE fraud.batch_ledger SET"
ALERTS = "UPDATE fraud.fraud_alerts SET"
FLAGS = "UPDATE fraud.fraud_flags SET"
B = "WHERE transaction_id = 'b'"
COPY_ROW = """
INSERT INTO fraud.batch_ledger
SELECT query_id, 9, 2, cluster_id, topic, topic_id, offsets, intake, watermark, rows, digest, fingerprint
  FROM fraud.batch_ledger WHERE batch_id = 1
"""
# The windows at 01:00 hold two events, one of them flagged.
RETAIL = "WHERE window_start = '2026-03-10 01:00Z'"
# The columns of a flag after the transaction's id.
OF_A_FLAG = (
    "card_id, merchant_id, event_time, category, amount_minor, currency, country, channel, arrival, rule_set,"
    " score, rules, alone, query_id, batch_id"
)


@dataclass(frozen=True)
class Mutant:
    """One thing done to a sound state, and a line that the report must hold."""

    name: str
    sql: str
    line: str


MUTANTS = [
    Mutant(
        "one count too many",
        f"{METRICS} count = count + 1 {FOOD}",
        "differs  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " count expected 1, stored 2",
    ),
    Mutant(
        "one count too few",
        f"{METRICS} count = count - 1 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " count expected 2, stored 1",
    ),
    Mutant(
        "flagged_count",
        f"{METRICS} flagged_count = flagged_count + 1 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " flagged_count expected 1, stored 2",
    ),
    Mutant(
        "amount",
        f"{METRICS} amount_minor = amount_minor - 1 {FOOD}",
        "differs  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " amount_minor expected 1250, stored 1249",
    ),
    Mutant(
        "flagged amount",
        f"{METRICS} flagged_amount_minor = 0 {RETAIL}",
        "differs  fraud_metrics 2026-03-10T01:00:00Z to 2026-03-10T01:10:00Z Retail:"
        " flagged_amount_minor expected 20002, stored 0",
    ),
    Mutant(
        "row deleted",
        f"DELETE FROM fraud.fraud_metrics {FOOD}",
        "missing  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "row added",
        "INSERT INTO fraud.fraud_metrics"
        " VALUES ('2026-03-10 12:01Z', '2026-03-10 12:11Z', 'Food', 1, 0, 5, 0)",
        "extra    fraud_metrics 2026-03-10T12:01:00Z to 2026-03-10T12:11:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 5, flagged_amount_minor 0)",
    ),
    Mutant(
        "row copied to another category",
        "INSERT INTO fraud.fraud_metrics SELECT window_start, window_end, 'food', 1, 0, 1, 0"
        f" FROM fraud.fraud_metrics {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1, flagged_amount_minor 0)",
    ),
    Mutant(
        "window shifted by a minute",
        f"{METRICS} window_start = window_start + '1 minute'::interval, window_end = window_end + '1 minute'"
        "::interval WHERE window_start = '2026-03-10 12:00Z'",
        "extra    fraud_metrics 2026-03-10T12:01:00Z to 2026-03-10T12:11:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "window a microsecond longer",
        f"{METRICS} window_end = window_end + '1 microsecond'::interval {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00.000001Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "windows in the wrong zone",
        f"{METRICS} window_start = window_start + '4 hours'::interval,"
        " window_end = window_end + '4 hours'::interval WHERE category = 'Food'",
        "missing  fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "all windows gone",
        "DELETE FROM fraud.fraud_metrics",
        "missing  fraud_metrics 2026-03-10T00:50:00Z to 2026-03-10T01:00:00Z Retail:"
        " expected (count 1, flagged_count 0, amount_minor 20001, flagged_amount_minor 0), stored no row",
    ),
    Mutant(
        "first ledger row gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 0",
        "batch    batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001:"
        " expected batch 0, stored batch 1",
    ),
    Mutant(
        "ledger row in the middle gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 1",
        "gap      batch_ledger batch 2 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 3, stored 6 to 9",
    ),
    Mutant(
        "last ledger row gone",
        "DELETE FROM fraud.batch_ledger WHERE batch_id = 2",
        "extra    fraud_metrics 2026-03-10T05:00:00Z to 2026-03-10T05:10:00Z Retail:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 20008, flagged_amount_minor 0)",
    ),
    Mutant(
        "all ledger rows gone",
        "DELETE FROM fraud.batch_ledger",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "ledger row twice",
        COPY_ROW,
        "overlap  batch_ledger batch 9 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 9, stored 3 to 6",
    ),
    Mutant(
        "range shifted",
        f"""{LEDGER} offsets = '{{"0": [4, 7], "1": [1, 1]}}' WHERE batch_id = 1""",
        "gap      batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected a range that begins at 3, stored 4 to 7",
    ),
    Mutant(
        "last range shifted beyond the log",
        f"""{LEDGER} offsets = '{{"0": [7, 10], "1": [1, 1]}}' WHERE batch_id = 2""",
        "log      batch_ledger: expected offsets that the log holds, stored partition 0 ends at offset 9,"
        " and 10 was reached before",
    ),
    Mutant(
        "range that begins below zero",
        f"""{LEDGER} offsets = '{{"0": [-1, 3], "1": [0, 1]}}' WHERE batch_id = 0""",
        "range    batch_ledger batch 0 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected 0 <= first <= last, stored -1 to 3",
    ),
    Mutant(
        "border between two ranges moved",
        f"""{LEDGER} offsets = CASE batch_id WHEN 1 THEN '{{"0": [3, 7]}}' ELSE '{{"0": [7, 9]}}' END::jsonb
            WHERE batch_id > 0""",
        "intake   batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 4, stored admitted 3",
    ),
    Mutant(
        "intake too high",
        f"""{LEDGER} intake = '{{"0": {{"admitted": 4}}}}' WHERE batch_id = 1""",
        "intake   batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 3, stored admitted 4",
    ),
    Mutant(
        "intake under another reason",
        f"""{LEDGER} intake = '{{"0": {{"admitted": 1, "malformed": 2}}, "1": {{"late": 1}}}}'
            WHERE batch_id = 0""",
        "intake   batch_ledger batch 0 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        " expected admitted 1, invalid_currency 1, malformed 1, stored admitted 1, malformed 2",
    ),
    Mutant(
        "watermark that would have dropped events",
        f"{LEDGER} watermark = '2026-03-10 04:59:59.999999Z' WHERE batch_id = 1",
        "extra    fraud_metrics 2026-03-10T04:50:00Z to 2026-03-10T05:00:00Z Retail:"
        " expected no row, stored (count 1, flagged_count 1, amount_minor 20004, flagged_amount_minor 20004)",
    ),
    Mutant(
        "window without an end",
        f"{METRICS} window_end = 'infinity' {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to infinity Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "window without a begin",
        f"{METRICS} window_start = '-infinity' {FOOD}",
        "extra    fraud_metrics -infinity to 2026-03-10T12:05:00Z Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "window at the end of the calendar",
        f"{METRICS} window_end = '294276-12-31Z' {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 9224317929600000000 microseconds since 1970 Food:"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "category that looks like a line of its own",
        f"{METRICS} category = E'Food\\nPASS: all' {FOOD}",
        "extra    fraud_metrics 2026-03-10T11:55:00Z to 2026-03-10T12:05:00Z 'Food\\nPASS: all':"
        " expected no row, stored (count 1, flagged_count 0, amount_minor 1250, flagged_amount_minor 0)",
    ),
    Mutant(
        "offsets that are no ranges",
        f"""{LEDGER} offsets = '{{"0": "all"}}' WHERE batch_id = 1""",
        "offsets  batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        """ expected a partition with [first, one past the last], stored {{"0": "all"}}""",
    ),
    Mutant(
        "offsets that are no object",
        f"{LEDGER} offsets = 'null' WHERE batch_id = 0",
        "offsets  batch_ledger batch 0 of query 00000000-0000-0000-0000-000000000001:"
        " expected a JSON object by partition, stored null",
    ),
    Mutant(
        "all offsets are no ranges",
        f"{LEDGER} offsets = '[1, 2]'",
        "offsets  batch_ledger batch 2 of query 00000000-0000-0000-0000-000000000001:"
        " expected a JSON object by partition, stored [1, 2]",
    ),
    Mutant(
        "intake that is no count",
        f"""{LEDGER} intake = '{{"0": {{"admitted": "3"}}}}' WHERE batch_id = 1""",
        "intake   batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 0:"
        """ expected a partition with whole numbers by fate, stored {{"0": {{"admitted": "3"}}}}""",
    ),
    Mutant(
        "partition that the topic does not have",
        f"""{LEDGER} offsets = offsets || '{{"7": [0, 2]}}' WHERE batch_id = 1""",
        "range    batch_ledger batch 1 of query 00000000-0000-0000-0000-000000000001, partition 7:"
        " expected a partition of the topic, stored 0 to 2",
    ),
    Mutant(
        "watermark without end",
        f"{LEDGER} watermark = 'infinity' WHERE batch_id = 2",
        "watermark batch_ledger batch 2 of query 00000000-0000-0000-0000-000000000001:"
        " expected an instant, stored infinity",
    ),
    Mutant(
        "watermark that goes back",
        f"{LEDGER} watermark = '1969-12-31Z' WHERE batch_id = 2",
        "watermark batch_ledger batch 2 of query 00000000-0000-0000-0000-000000000001:"
        " expected 1970-01-01T00:00:00Z or later, stored 1969-12-31T00:00:00Z",
    ),
    Mutant(
        "dead letter that arrived at another time",
        "UPDATE fraud.dead_letters SET arrival = arrival + '1 ms'::interval WHERE reason = 'late'",
        "differs  dead_letters {topic} partition 1 offset 0: arrival expected 2026-03-10T13:00:00Z,"
        " stored 2026-03-10T13:00:00.001000Z",
    ),
    Mutant(
        "dead letter that never arrived",
        "UPDATE fraud.dead_letters SET arrival = 'infinity' WHERE reason = 'late'",
        "differs  dead_letters {topic} partition 1 offset 0: arrival expected 2026-03-10T13:00:00Z,"
        " stored infinity",
    ),
    Mutant(
        "dead letter with another payload",
        "UPDATE fraud.dead_letters SET payload = '[]' WHERE reason = 'malformed'",
        "differs  dead_letters {topic} partition 0 offset 1: payload expected 2 bytes with SHA-256"
        " 44136fa355b3678a…, stored 2 bytes with SHA-256 4f53cda18c2baa0c…",
    ),
    Mutant(
        "dead letter with another length",
        "UPDATE fraud.dead_letters SET payload_bytes = 3 WHERE reason = 'malformed'",
        "differs  dead_letters {topic} partition 0 offset 1: payload_bytes expected 2, stored 3",
    ),
    Mutant(
        "dead letter hidden",
        "DELETE FROM fraud.dead_letters WHERE reason = 'late'",
        "missing  dead_letters {topic} partition 1 offset 0: expected late, stored no row",
    ),
    Mutant(
        "dead letter with another reason",
        "UPDATE fraud.dead_letters SET reason = 'future' WHERE reason = 'late'",
        "differs  dead_letters {topic} partition 1 offset 0: expected late, stored future",
    ),
    Mutant(
        "dead letter too many",
        "INSERT INTO fraud.dead_letters SELECT topic, 0, 5, reason, arrival, payload, 0"
        " FROM fraud.dead_letters WHERE reason = 'late'",
        "extra    dead_letters {topic} partition 0 offset 5: expected no row, stored late",
    ),
    Mutant(
        "dead letter of another topic",
        "UPDATE fraud.dead_letters SET topic = 'elsewhere' WHERE reason = 'late'",
        "extra    dead_letters elsewhere partition 1 offset 0: expected no row, stored late",
    ),
    Mutant(
        "alert hidden",
        f"DELETE FROM fraud.fraud_alerts {B}",
        "missing  fraud_alerts b (5e7794080cef): expected an alert of odd-hours in batch 1, stored no row",
    ),
    Mutant(
        "all alerts gone",
        "DELETE FROM fraud.fraud_alerts",
        "missing  fraud_alerts d (ded1174c0d42): expected an alert of odd-hours in batch 2, stored no row",
    ),
    Mutant(
        "alert too many",
        "INSERT INTO fraud.fraud_alerts SELECT repeat('0', 64), 'x', card_id, merchant_id, event_time,"
        " category, amount_minor, currency, country, channel, arrival, rule_set, score, rules, query_id,"
        " batch_id"
        f" FROM fraud.fraud_alerts {B}",
        "extra    fraud_alerts x (000000000000): expected no row, stored an alert",
    ),
    Mutant(
        "alert of another transaction",
        f"{ALERTS} digest = repeat('1', 64) {B}",
        "extra    fraud_alerts b (111111111111): expected no row, stored an alert",
    ),
    *(
        Mutant(
            f"alert with another {column}: {stored}",
            f"{ALERTS} {column} = {value} {B}",
            f"differs  fraud_alerts b (5e7794080cef): {column} expected {expected}, stored {stored}",
        )
        for column, value, expected, stored in (
            ("transaction_id", "'c'", "b", "c"),
            ("card_id", "'c-2'", "c-1", "c-2"),
            ("merchant_id", "'m-2'", "m-1", "m-2"),
            ("category", "'Food'", "Retail", "Food"),
            ("amount_minor", "20003", "20002", "20003"),
            ("currency", "'USD'", "EUR", "USD"),
            ("country", "'FR'", "DE", "FR"),
            ("channel", "'web'", "pos", "web"),
            ("score", "21", "20", "21"),
            ("rules", "'{odd-hours,high-amount}'", "odd-hours", "odd-hours,high-amount"),
            ("rules", "'{}'", "odd-hours", "''"),
            ("batch_id", "2", "1", "2"),
            ("query_id", "repeat('0', 32)::uuid", QUERY, "00000000-0000-0000-0000-000000000000"),
            ("event_time", "'infinity'", "2026-03-10T01:00:00Z", "infinity"),
            ("arrival", "'2026-03-10 01:00:01Z'", "2026-03-10T01:00:00Z", "2026-03-10T01:00:01Z"),
        )
    ),
    Mutant(
        "alert of another version of the rules",
        f"{ALERTS} rule_set = 'other' {B}",
        f"differs  fraud_alerts b (5e7794080cef): rule_set expected {RULES[1].digest}, stored other",
    ),
    Mutant(
        "flag hidden",
        f"DELETE FROM fraud.fraud_flags {B}",
        "missing  fraud_flags b (5e7794080cef) of partition 0:"
        " expected a flag of odd-hours,again in batch 1, stored no row",
    ),
    Mutant(
        "all flags gone",
        "DELETE FROM fraud.fraud_flags",
        "missing  fraud_flags e (65798b399c02) of partition 0:"
        " expected a flag of again in batch 2, stored no row",
    ),
    Mutant(
        "flag too many",
        f"INSERT INTO fraud.fraud_flags SELECT partition, repeat('0', 64), 'x', {OF_A_FLAG}"
        f" FROM fraud.fraud_flags {B}",
        "extra    fraud_flags x (000000000000) of partition 0: expected no row, stored a flag",
    ),
    Mutant(
        "flag twice, in another partition",
        f"INSERT INTO fraud.fraud_flags SELECT 1, digest, transaction_id, {OF_A_FLAG}"
        f" FROM fraud.fraud_flags {B}",
        "extra    fraud_flags b (5e7794080cef) of partition 1: expected no row, stored a flag",
    ),
    Mutant(
        "flag of another partition",
        f"{FLAGS} partition = 1 {B}",
        "missing  fraud_flags b (5e7794080cef) of partition 0:"
        " expected a flag of odd-hours,again in batch 1, stored no row",
    ),
    Mutant(
        "flag of another transaction",
        f"{FLAGS} digest = repeat('1', 64) {B}",
        "extra    fraud_flags b (111111111111) of partition 0: expected no row, stored a flag",
    ),
    *(
        Mutant(
            f"flag with another {column}: {stored}",
            f"{FLAGS} {column} = {value} {B}",
            "differs  fraud_flags b (5e7794080cef) of partition 0:"
            f" {column} expected {expected}, stored {stored}",
        )
        for column, value, expected, stored in (
            ("transaction_id", "'c'", "b", "c"),
            ("card_id", "'c-2'", "c-1", "c-2"),
            ("merchant_id", "'m-2'", "m-1", "m-2"),
            ("category", "'Food'", "Retail", "Food"),
            ("amount_minor", "20003", "20002", "20003"),
            ("currency", "'USD'", "EUR", "USD"),
            ("country", "'FR'", "DE", "FR"),
            ("channel", "'web'", "pos", "web"),
            ("score", "20", "25", "20"),
            ("rules", "'{again}'", "odd-hours,again", "again"),
            ("rules", "'{again,odd-hours}'", "odd-hours,again", "again,odd-hours"),
            ("rules", "'{}'", "odd-hours,again", "''"),
            ("alone", "true", "false", "true"),
            ("batch_id", "2", "1", "2"),
            ("query_id", "repeat('0', 32)::uuid", QUERY, "00000000-0000-0000-0000-000000000000"),
            ("event_time", "'infinity'", "2026-03-10T01:00:00Z", "infinity"),
            ("arrival", "'2026-03-10 01:00:01Z'", "2026-03-10T01:00:00Z", "2026-03-10T01:00:01Z"),
        )
    ),
    Mutant(
        "flag of another version of the rules",
        f"{FLAGS} rule_set = 'other' {B}",
        "differs  fraud_flags b (5e7794080cef) of partition 0:"
        f" rule_set expected {RULES[1].digest}, stored other",
    ),
    Mutant(
        "horizon that the rules look beyond",
        f"{LEDGER} fingerprint = replace(fingerprint, '_seconds=600', '_seconds=540')",
        f"rules    batch_ledger batch 0 of query {QUERY}: expected rules that look back at a card for 540 s"
        f" at most, stored {RULES[0].digest}, which look back 600 s",
    ),
    Mutant(
        "horizon forgotten",
        f"{LEDGER} fingerprint = replace(fingerprint, ' rules.card_horizon_seconds=600', '')",
        "extra    fraud_flags b (5e7794080cef) of partition 0: expected no row, stored a flag",
    ),
    Mutant(
        "horizon so far that a batch touches more",
        f"{LEDGER} fingerprint = replace(fingerprint, '_seconds=600', '_seconds=86400')",
        "differs  fraud_flags b (5e7794080cef) of partition 0:"
        f" rule_set expected {RULES[2].digest}, stored {RULES[1].digest};"
        " score expected 35, stored 25; batch_id expected 2, stored 1",
    ),
    Mutant(
        "batch judged by no rules",
        f"{LEDGER} rule_set = NULL WHERE batch_id = 1",
        f"rules    batch_ledger batch 1 of query {QUERY}:"
        " expected the rules that judged the batch, stored none",
    ),
    Mutant(
        "batch judged by rules that nobody knows",
        f"{LEDGER} rule_set = 'other' WHERE batch_id = 1",
        f"rules    batch_ledger batch 1 of query {QUERY}:"
        " expected the rules that judged the batch, stored other, of which there is no document",
    ),
    Mutant(
        "rules changed after the fact",
        "UPDATE fraud.rule_sets SET document = jsonb_set(document, '{rules,1,when,amount_over}', '30000')",
        f"rules    batch_ledger batch 0 of query {QUERY}:"
        f" expected the rules that judged the batch, stored {RULES[0].digest},"
        " whose document is another one",
    ),
    Mutant(
        "rules exchanged",
        f"{LEDGER} rule_set = '{RULES[2].digest}' WHERE batch_id = 1",
        f"differs  fraud_alerts b (5e7794080cef): rule_set expected {RULES[2].digest},"
        f" stored {RULES[1].digest};"
        " score expected 30, stored 20",
    ),
]
