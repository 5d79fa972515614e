"""Flink SQL: the same windows over the same log, with the usual deduplication by ROW_NUMBER or without.

    python flink_sql.py --bootstrap-servers … --topic … --jar CONNECTOR --warm-up '{"0": N}' [--deduplicate]

The finished windows come to this process and are added up; no database is written, which is to Flink's
advantage. Prints one JSON object: the sum of the windows' counts, when the measured job began, how long it
took, and Flink's own net time, in seconds.
"""

import argparse
import json
import time

from pyflink.table import EnvironmentSettings, TableEnvironment

# The place of the count in a row of the query.
COUNT = 3
OPTIONS = {
    "parallelism.default": "2",
    "taskmanager.numberOfTaskSlots": "2",
    "pipeline.object-reuse": "true",
    "table.exec.state.ttl": "900000 ms",
    "table.exec.source.idle-timeout": "1000 ms",
    "table.local-time-zone": "UTC",
}
SOURCE = """
    CREATE TABLE {name} (
        schema_version INT, transaction_id STRING, event_time TIMESTAMP_LTZ(3), card_id STRING,
        merchant_id STRING, category STRING, amount_minor BIGINT, currency STRING, country STRING,
        channel STRING, seen AS PROCTIME(),
        WATERMARK FOR event_time AS event_time - INTERVAL '15' MINUTE
    ) WITH (
        'connector' = 'kafka', 'topic' = '{topic}', 'properties.bootstrap.servers' = '{servers}',
        'scan.startup.mode' = 'earliest-offset', {bound},
        'format' = 'json', 'json.ignore-parse-errors' = 'true', 'json.timestamp-format.standard' = 'ISO-8601'
    )
"""
UNIQUE = """
    CREATE TEMPORARY VIEW {name}_unique AS
    SELECT event_time, category, amount_minor
      FROM (SELECT *, ROW_NUMBER() OVER (PARTITION BY transaction_id ORDER BY seen ASC) AS number FROM {name})
     WHERE number = 1
"""
QUERY = """
    SELECT window_start, window_end, category, COUNT(*),
           SUM(CASE WHEN amount_minor > 60000 THEN 1 ELSE 0 END), SUM(amount_minor),
           SUM(CASE WHEN amount_minor > 60000 THEN amount_minor ELSE 0 END)
      FROM TABLE(HOP(TABLE {name}, DESCRIPTOR(event_time), INTERVAL '1' MINUTE, INTERVAL '10' MINUTE))
     GROUP BY window_start, window_end, category
"""


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    for name in ("bootstrap-servers", "topic", "jar", "warm-up"):
        arguments.add_argument(f"--{name}", required=True)
    arguments.add_argument("--deduplicate", action="store_true")
    given = arguments.parse_args()
    table = TableEnvironment.create(EnvironmentSettings.in_streaming_mode())
    table.get_config().set("pipeline.jars", f"file://{given.jar}")
    for key, value in OPTIONS.items():
        table.get_config().set(key, value)
    offsets = ";".join(f"partition:{key},offset:{end}" for key, end in json.loads(given.warm_up).items())
    bounds = {
        "first": f"'scan.bounded.mode' = 'specific-offsets', 'scan.bounded.specific-offsets' = '{offsets}'",
        "events": "'scan.bounded.mode' = 'latest-offset'",
    }
    for name, bound in bounds.items():
        source = SOURCE.format(name=name, topic=given.topic, servers=given.bootstrap_servers, bound=bound)
        table.execute_sql(source)
        if given.deduplicate:
            table.execute_sql(UNIQUE.format(name=name))
        read = f"{name}_unique" if given.deduplicate else name
        began = time.time()
        result = table.execute_sql(QUERY.format(name=read))
        ended = result.get_job_client().get_job_execution_result()
        with result.collect() as rows:
            counted = sum(row[COUNT] for row in rows)
        told = {
            "counted": counted,
            "began": began,
            "seconds": time.time() - began,
            "net_seconds": ended.result().get_net_runtime() / 1000,
        }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
