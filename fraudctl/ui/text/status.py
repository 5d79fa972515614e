"""The state of a stack as lines of text."""

from fraudctl.operations.lifecycle.status import StatusReport
from fraudctl.ui.text.places import place


def report(result: StatusReport) -> str:
    """Return a line for each part of the stack: name, state, address or count, and what is wrong."""
    kafka, postgres, detector = result.services.kafka, result.services.postgres, result.services.detector
    topic, schema = result.topic, result.migrations
    pending = f"{len(schema.pending)} pending: {', '.join(schema.pending)}"
    rows = [
        ("kafka", kafka.state, kafka.bootstrap_servers + place(kafka.pid, kafka.container), kafka.problem),
        (
            "postgres",
            postgres.state,
            postgres.dsn + place(postgres.pid, postgres.container),
            postgres.problem,
        ),
        ("detector", detector.state, place(detector.pid, None).strip(), ""),
        (
            "topic",
            "there" if topic.exists else "unknown" if kafka.state != "running" else "missing",
            f"{topic.name}, {topic.partitions} partitions" if topic.exists else topic.name,
            topic.problem,
        ),
        (
            "schema",
            "unknown" if schema.problem else "pending" if schema.pending else "current",
            pending if schema.pending else f"{schema.applied} migrations applied",
            schema.problem,
        ),
    ]
    if grafana := result.grafana:
        shown = grafana.url + place(None, grafana.container)
        rows.insert(2, ("grafana", grafana.state, shown, grafana.problem))
    rows[-3:-3] = [
        (name, each.state, place(None, each.container).strip(), each.problem)
        for name, each in result.spark.items()
    ]
    width = max(9, *(len(name) for name, *_ in rows))
    lines = [
        f"{name:<{width}} {state:<10} {text}{f'  ({why})' if why else ''}" for name, state, text, why in rows
    ]
    return "\n".join(
        [*(line.rstrip() for line in lines), f"{'profile':<{width}} {result.profile} ({result.reason})"]
    )
