"""The result of `up` as text, and the commands to type next."""

from fraudctl.operations.lifecycle.up import UpPlan, UpReport
from fraudctl.ui.text.places import place

NEXT = """\
next:
  fraudctl produce --rate 500    send transactions until Ctrl-C
  fraudctl detect                count them in windows
  fraudctl status                see how everything is
  eval "$(fraudctl env)"         let psql, kcat or a notebook connect"""


def plan(result: UpPlan) -> str:
    """Return one line for each step, then the profile."""
    steps = result.steps or ("no service has to be started: all of them run",)
    then = "then database, migrations, roles and topic are looked at, and created where they are missing"
    notes = (f"note: {each}" for each in result.notes)
    return "\n".join([*steps, then, f"profile {result.profile} ({result.reason})", *notes])


def report(result: UpReport) -> str:
    """Return one line for each service, then one about what has changed."""
    kafka, postgres = result.services.kafka, result.services.postgres
    lines = [
        f"kafka     {kafka.bootstrap_servers}{place(kafka.pid, kafka.container)}",
        f"postgres  {postgres.dsn}{place(postgres.pid, postgres.container)}",
        f"topic     {result.topic.topic}, {result.topic.partitions} partitions, "
        f"{result.topic.settings['message.timestamp.type']}",
        f"schema    version {result.schema_version}",
    ]
    if grafana := result.grafana:
        where = f"user {grafana.user}, password in {grafana.password_file}"
        lines.insert(2, f"grafana   {grafana.url}{place(None, grafana.container)}  {where}")
    lines += [f"note      topic {result.topic.topic}: {each}" for each in result.topic.differences]
    lines += [f"note      {each}" for each in result.notes]
    lines.append(f"changed   {', '.join(result.changed) or 'nothing: all of it was running'}")
    return "\n".join(lines)
