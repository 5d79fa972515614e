"""up, status, env, logs and down against the real broker and database, spawned as a user would."""

import json
import os
import pty
import re
import shutil
import signal
import socket
import subprocess
import time
from pathlib import Path

import psutil
import pytest

from fraudctl.clock import Deadline
from tests.conftest import NewStack
from tests.support.stacks import Stack, missing

pytestmark = pytest.mark.services


def processes_of(stack: Stack) -> list[str]:
    """Command lines that name the stack's folder: broker, database, and whatever they have started."""
    found = []
    for process in psutil.process_iter(["cmdline", "status"]):
        line = " ".join(process.info["cmdline"] or [])
        if str(stack.root) in line and process.info["status"] != psutil.STATUS_ZOMBIE:
            found.append(line)
    return found


def family(stack: Stack) -> list[psutil.Process]:
    """Both services and everything they have started (PostgreSQL's workers name no folder)."""
    services = stack.json("status")["services"]
    leaders = [psutil.Process(services[name]["pid"]) for name in ("kafka", "postgres")]
    return [*leaders, *(child for leader in leaders for child in leader.children(recursive=True))]


def living(processes: list[psutil.Process]) -> list[psutil.Process]:
    """Without zombies: those wait for the first process of the machine to collect them, and run no more."""
    found = []
    for process in processes:
        try:
            if process.is_running() and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
        except psutil.NoSuchProcess:
            continue
    return found


def listening(stack: Stack) -> set[int]:
    """Which of the stack's three ports answer."""
    names = ("FRAUDCTL_KAFKA__PORT", "FRAUDCTL_KAFKA__CONTROLLER_PORT", "FRAUDCTL_POSTGRES__PORT")
    open_ports = set()
    for name in names:
        with socket.socket() as client:
            if client.connect_ex(("127.0.0.1", int(stack.env[name]))) == 0:
                open_ports.add(int(stack.env[name]))
    return open_ports


def test_status_names_each_service(stack: Stack) -> None:
    report = stack.json("status")
    assert report["healthy"] is True
    assert report["services"]["kafka"]["state"] == "running"
    assert (
        report["services"]["kafka"]["bootstrap_servers"] == f"127.0.0.1:{stack.env['FRAUDCTL_KAFKA__PORT']}"
    )
    postgres = report["services"]["postgres"]
    assert postgres["state"] == "running"
    assert (
        postgres["dsn"] == f"postgresql://fraudctl@127.0.0.1:{stack.env['FRAUDCTL_POSTGRES__PORT']}/fraudctl"
    )
    assert report["services"]["detector"] == {
        "state": "stopped",
        "pid": None,
        "log": str(stack.root / "logs" / "detector.log"),
    }
    assert report["topic"] == {"name": "transactions", "exists": True, "partitions": 3, "problem": ""}
    assert report["migrations"]["pending"] == []
    assert report["migrations"]["applied"] > 0


def test_a_second_up_changes_nothing(stack: Stack) -> None:
    before = stack.json("status")
    again = stack.json("up")
    assert again["changed"] == []
    assert stack.json("status") == before


def test_everything_listens_on_loopback_only(stack: Stack) -> None:
    report = stack.json("status")
    for service in ("kafka", "postgres"):
        process = psutil.Process(report["services"][service]["pid"])
        addresses = [each.laddr for each in process.net_connections("tcp") if each.status == "LISTEN"]
        assert addresses
        assert {address.ip.removeprefix("::ffff:") for address in addresses} == {"127.0.0.1"}


def test_no_password_in_command_lines_state_or_logs(stack: Stack) -> None:
    secrets = sorted((stack.root / "secrets").glob("*.password"))
    assert [file.stem for file in secrets] == ["migrator", "postgres", "reader", "writer"]
    passwords = [file.read_text(encoding="utf-8").strip() for file in secrets]
    assert {file.stat().st_mode & 0o777 for file in secrets} == {0o600}
    assert secrets[0].parent.stat().st_mode & 0o777 == 0o700
    shown = [*processes_of(stack), stack.run("status").stdout, stack.run("env").stdout]
    files = [*(stack.root / "run").glob("*.*"), *(stack.root / "logs").glob("*")]
    shown += [file.read_text(encoding="utf-8", errors="replace") for file in files if file.is_file()]
    assert len(shown) > 5
    assert not [text for text in shown for password in passwords if password in text]


def test_env_lets_psql_connect(stack: Stack) -> None:
    if shutil.which("psql") is None:
        missing("there is no psql on this machine")
    query = "select current_database(), current_setting('TimeZone'), current_setting('fsync')"
    script = f'eval "$({" ".join(stack.command)} env)" && psql -At "$1" -c "{query}"'
    for arguments in ([], ["$DATABASE_URL"]):
        connect = script.replace('"$1"', " ".join(arguments))
        done = subprocess.run(
            ["sh", "-c", connect], env=stack.env, cwd="/", capture_output=True, text=True, check=False
        )
        assert done.stderr == ""
        assert done.stdout.strip() == "fraudctl|UTC|on"


def test_env_holds_no_password_and_points_to_a_private_file(stack: Stack) -> None:
    variables = stack.json("env")
    assert set(variables) == {
        "KAFKA_BOOTSTRAP_SERVERS",
        "PGHOST",
        "PGPORT",
        "PGDATABASE",
        "PGUSER",
        "PGPASSFILE",
        "DATABASE_URL",
    }
    assert Path(variables["PGPASSFILE"]).stat().st_mode & 0o777 == 0o600


def test_logs_of_both_services_in_utc(stack: Stack) -> None:
    assert "UTC INFO" in stack.run("logs", "kafka", "-n", "3").stdout
    assert len(stack.run("logs", "postgres", "-n", "2").stdout.splitlines()) == 2
    everything = stack.run("logs", "-n", "1").stdout
    assert {line.partition(" ")[0] for line in everything.splitlines()} >= {"kafka", "postgres"}


def test_logs_follow_until_interrupted(stack: Stack) -> None:
    log = stack.root / "logs" / "detector.log"
    log.write_text("old\n", encoding="utf-8")
    follower = subprocess.Popen(
        [*stack.command, "logs", "detector", "-f"],
        env=stack.env,
        cwd=stack.home,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert follower.stdout is not None
        assert follower.stdout.readline() == "old\n"
        with log.open("a", encoding="utf-8") as stream:
            stream.write("new\n")
        assert follower.stdout.readline() == "new\n"
        follower.send_signal(signal.SIGINT)
        assert follower.wait(30) == 0
    finally:
        follower.kill()
        follower.communicate()
        log.unlink()


def test_a_taken_port_names_its_holder_and_any_port_goes_round_it(new_stack: NewStack) -> None:
    stack = new_stack()
    port = int(stack.env["FRAUDCTL_POSTGRES__PORT"])
    with socket.socket() as mine:
        mine.bind(("127.0.0.1", port))
        mine.listen()
        refused = stack.run("up", "--json", check=False)
        assert refused.returncode == 3
        error = json.loads(refused.stdout)["error"]
        assert f"port {port} for postgres is held by" in error["message"]
        assert f"(pid {os.getpid()})" in error["message"]
        assert "FRAUDCTL_POSTGRES__PORT" in error["hint"] and "--any-port" in error["hint"]
        assert processes_of(stack) == []
        stack.up("--any-port")
        report = stack.json("status")
        assert report["healthy"] is True
        assert report["services"]["postgres"]["port"] != port
        # A later `up` keeps what runs, although the settings still name the taken port.
        assert stack.json("up")["changed"] == []


def test_down_leaves_no_process_and_keeps_data(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    assert len(processes_of(stack)) >= 2
    assert len(listening(stack)) == 3
    before = family(stack)
    assert len(living(before)) > 4
    cluster = (stack.root / "data" / "kafka" / "meta.properties").read_text(encoding="utf-8")
    assert stack.json("down")["stopped"] == {
        "detector": "was not running",
        "kafka": "stopped",
        "postgres": "stopped",
    }
    assert processes_of(stack) == []
    assert listening(stack) == set()
    assert living(before) == []
    assert list((stack.root / "run" / "tmp").iterdir()) == []
    status = stack.run("status", "--json", check=False)
    assert status.returncode == 1
    assert {each["state"] for each in json.loads(status.stdout)["services"].values()} == {"stopped"}
    assert set(stack.json("down")["stopped"].values()) == {"was not running"}

    stack.up()
    assert (stack.root / "data" / "kafka" / "meta.properties").read_text(encoding="utf-8") == cluster
    again = stack.json("up")
    assert again["topic"]["change"] == "unchanged"

    refused = stack.run("down", "--volumes", check=False)
    assert refused.returncode == 2
    assert "--yes" in refused.stderr
    assert len(listening(stack)) == 3
    stack.run("down", "--volumes", "--yes")
    assert processes_of(stack) == []
    assert not stack.root.exists()


def test_services_whose_records_were_deleted_are_found_and_stopped(new_stack: NewStack) -> None:
    stack, neighbour = new_stack(), new_stack()
    stack.up()
    neighbour.up()
    records = [stack.root / "run" / f"{name}.process.json" for name in ("kafka", "postgres")]
    pids = {file.name: json.loads(file.read_text(encoding="utf-8"))["pid"] for file in records}
    for file in records:
        file.unlink()
    found = stack.json("status")["services"]
    assert {f"{name}.process.json": found[name]["pid"] for name in ("kafka", "postgres")} == pids
    assert {found[name]["state"] for name in ("kafka", "postgres")} == {"running"}
    assert not any(file.exists() for file in records), "status changes nothing"
    assert stack.json("up")["changed"] == []
    assert {file.name: json.loads(file.read_text(encoding="utf-8"))["pid"] for file in records} == pids

    for file in records:
        file.unlink()
    assert stack.json("down")["stopped"] == {
        "detector": "was not running",
        "kafka": "stopped",
        "postgres": "stopped",
    }
    assert processes_of(stack) == []
    assert {
        each["state"] for name, each in neighbour.json("status")["services"].items() if name != "detector"
    } == {"running"}


def test_a_killed_broker_is_seen_and_started_again(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    pids = {name: each["pid"] for name, each in stack.json("status")["services"].items()}
    os.kill(pids["kafka"], signal.SIGKILL)
    os.kill(pids["postgres"], signal.SIGKILL)
    report = json.loads(stack.run("status", "--json", check=False).stdout)
    assert report["services"]["kafka"]["state"] == "stopped"
    assert report["services"]["postgres"]["state"] == "stopped"
    again = stack.json("up")
    assert sorted(again["changed"]) == ["kafka started", "postgres started"]


def test_a_service_that_does_not_answer_is_no_running_service(new_stack: NewStack) -> None:
    stack = new_stack({"FRAUDCTL_TIMEOUTS__CONNECT_SECONDS": "1"})
    stack.up()
    pid = stack.json("status")["services"]["kafka"]["pid"]
    os.kill(pid, signal.SIGSTOP)
    for up_seconds, state in (("3600", "starting"), ("0.001", "unhealthy")):
        env = {"FRAUDCTL_TIMEOUTS__UP_SECONDS": up_seconds}
        status = stack.run("status", "--json", check=False, env=env)
        assert status.returncode == 1
        kafka = json.loads(status.stdout)["services"]["kafka"]
        assert (kafka["state"], kafka["pid"]) == (state, pid)
        assert kafka["problem"]
    env = {"FRAUDCTL_TIMEOUTS__UP_SECONDS": "3"}
    late = stack.run("up", check=False, env=env)
    assert late.returncode == 5
    assert "kafka was not ready within 3 s" in late.stderr
    # It was running before that `up`, so it is not for that `up` to stop it.
    assert psutil.Process(pid).status() == psutil.STATUS_STOPPED
    assert stack.json("down")["stopped"]["kafka"] == "stopped"


def test_down_volumes_asks_on_a_terminal(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.root.mkdir(parents=True)
    for answer, code, left in (("n", 1, True), ("y", 0, False)):
        ours, theirs = pty.openpty()
        run = subprocess.Popen(
            [*stack.command, "down", "--volumes"],
            env=stack.env,
            cwd=stack.home,
            stdin=theirs,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        os.write(ours, f"{answer}\n".encode())
        _, said = run.communicate(timeout=60)
        os.close(ours)
        os.close(theirs)
        assert "Remove all data of stack 'default'?" in said
        assert run.returncode == code
        assert stack.root.exists() is left


def test_two_ups_at_once_start_one_stack(new_stack: NewStack) -> None:
    stack = new_stack()
    runs = [
        subprocess.Popen(
            [*stack.command, "up", "--json"],
            env=stack.env,
            cwd=stack.home,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    outputs = [run.communicate(timeout=300) for run in runs]
    assert [run.returncode for run in runs] == [0, 0], outputs
    reports = [json.loads(output) for output, _ in outputs]
    assert reports[0]["services"] == reports[1]["services"]
    assert sorted(bool(report["changed"]) for report in reports) == [False, True]


def test_a_broker_that_cannot_start_is_shown_with_its_log_and_nothing_is_left(new_stack: NewStack) -> None:
    stack = new_stack()
    stack.up()
    stack.run("down")
    # A directory where the broker keeps a file: it ends at once.
    meta = stack.root / "data" / "kafka" / "meta.properties"
    meta.write_text("cluster.id=broken\nversion=nonsense\n", encoding="utf-8")
    failed = stack.run("up", check=False)
    assert failed.returncode == 5, failed.stderr
    assert re.search(r"kafka ended .*while it was starting", failed.stderr)
    assert "kafka.log: " in failed.stderr
    assert str(stack.root) in failed.stderr
    assert processes_of(stack) == []
    assert listening(stack) == set()
    assert (stack.root / "data" / "postgres").is_dir()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_stops_what_it_started(new_stack: NewStack, number: signal.Signals) -> None:
    stack = new_stack()
    run = subprocess.Popen(
        [*stack.command, "up"], env=stack.env, cwd=stack.home, stderr=subprocess.PIPE, text=True
    )
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("kafka: starting"):
            break
    deadline = Deadline(60)
    while not (stack.root / "run" / "kafka.process.json").exists() and not deadline.expired:
        time.sleep(0.05)
    run.send_signal(number)
    run.communicate(timeout=60)
    assert run.returncode == 130
    assert processes_of(stack) == []
    assert listening(stack) == set()


def test_profiles_that_start_nothing_are_refused(new_stack: NewStack) -> None:
    stack = new_stack()
    nowhere = {"DOCKER_HOST": f"unix://{stack.home}/none.sock"}
    docker = stack.run("up", "--profile", "docker", check=False, env=nowhere)
    assert docker.returncode == 4
    assert "--profile local" in docker.stderr
    external = stack.run("up", "--profile", "external", check=False)
    assert external.returncode == 3
    assert "nothing to start" in external.stderr


def test_a_home_that_postgres_cannot_enter_is_named(new_stack: NewStack) -> None:
    if os.geteuid() != 0:
        pytest.skip("only root runs PostgreSQL as another user")
    stack = new_stack()
    closed = stack.home / "closed"
    closed.mkdir(mode=0o700)
    refused = stack.run("up", check=False, env={"FRAUDCTL_HOME": str(closed / "home")})
    assert refused.returncode == 3
    assert f"cannot enter {closed}" in refused.stderr
    assert "chmod a+x" in refused.stderr
