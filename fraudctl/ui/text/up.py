"""What `up` did, and what to type next."""

from fraudctl.operations.up import UpReport

NEXT = """\
next:
  fraudctl produce --rate 500    send transactions until Ctrl-C
  fraudctl detect                count them in windows
  fraudctl status                see how everything is
  eval "$(fraudctl env)"         let psql, kcat or a notebook connect"""


def report(result: UpReport) -> str:
    """One line a service, then one about what has changed."""
    kafka, postgres = result.services.kafka, result.services.postgres
    lines = [
        f"kafka     {kafka.bootstrap_servers}  (pid {kafka.pid})",
        f"postgres  {postgres.dsn}  (pid {postgres.pid})",
        f"topic     {result.topic.topic}, {result.topic.partitions} partitions, "
        f"{result.topic.settings['message.timestamp.type']}",
        f"schema    version {result.schema_version}",
    ]
    lines += [f"note      topic {result.topic.topic}: {each}" for each in result.topic.differences]
    lines.append(f"changed   {', '.join(result.changed) or 'nothing: all of it was running'}")
    return "\n".join(lines)
