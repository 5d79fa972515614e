"""The life of a stack of containers, as a user sees it, on a real engine."""

import json
import shutil
import signal
import subprocess
from pathlib import Path

import psutil
import psycopg
import pytest

from tests.e2e.test_main_job import main_job
from tests.engine.conftest import Contained, NewContained
from tests.support import scenario

pytestmark = pytest.mark.engine

REPOSITORY = Path(__file__).parents[2]
PLUGIN = shutil.which("docker") is not None and (
    subprocess.run(["docker", "compose", "version"], capture_output=True, check=False).returncode == 0
)


def produce_and_verify(one: Contained, count: int) -> None:
    one.stack.run("produce", "--rate", "2000", "--count", str(count))
    one.stack.run("detect", "--until-caught-up")
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"


def test_the_main_job_in_containers(new_contained: NewContained) -> None:
    """Intent: the same job as with child processes; afterwards nothing is left, or data alone.

    Observables: those of `main_job`; `down` keeps volumes only, `down --volumes` nothing at all.
    """
    one = new_contained()
    main_job(one.stack)
    one.stack.run("down")
    assert sorted(one.leftovers()) == sorted(
        f"{one.project}_{name}" for name in ("kafka-data", "postgres-data", "secrets")
    )
    one.stack.up()
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"
    one.stack.down()
    assert one.leftovers() == []
    assert not one.stack.root.exists()
    assert not scenario.leftovers(one.stack.home)


def test_a_second_up_changes_nothing(running: Contained) -> None:
    before = running.ids()
    report = running.stack.json("up")
    assert report["changed"] == []
    assert running.ids() == before
    assert json.loads(running.stack.run("up", "--dry-run", "--json").stdout)["steps"] == []


def test_up_says_where_everything_is(running: Contained) -> None:
    report = running.stack.json("up")
    assert report["profile"] == "docker"
    assert report["services"]["kafka"]["container"] == f"{running.project}-kafka-1"
    secret = Path(report["services"]["postgres"]["password_file"])
    assert secret.stat().st_mode & 0o777 == 0o600
    assert len(secret.read_text(encoding="utf-8").strip()) >= 32
    status = running.stack.json("status")
    assert status["healthy"] is True
    assert status["services"]["postgres"]["container"] == f"{running.project}-postgres-1"


def test_everything_listens_on_loopback_only(running: Contained) -> None:
    bound = {
        (binding["HostIp"], int(binding["HostPort"]))
        for each in running.containers().values()
        for bindings in (each.attrs["HostConfig"]["PortBindings"] or {}).values()
        for binding in bindings
    }
    assert {address for address, _ in bound} == {"127.0.0.1"}
    ports = {port for _, port in bound}
    listening = {
        connection.laddr.ip
        for connection in psutil.net_connections("tcp")
        if connection.status == psutil.CONN_LISTEN and connection.laddr.port in ports
    }
    assert listening == {"127.0.0.1"}


def test_no_secret_is_to_be_seen(running: Contained) -> None:
    """Not in what the engine tells about containers, not in logs, not in any process's arguments."""
    secrets = [
        file.read_text(encoding="utf-8").strip() for file in (running.stack.root / "secrets").iterdir()
    ]
    assert len(secrets) >= 3
    seen = [json.dumps(each.attrs) for each in running.containers().values()]
    seen += [each.logs().decode("utf-8", errors="replace") for each in running.containers().values()]
    seen += [" ".join(process.info["cmdline"] or ()) for process in psutil.process_iter(["cmdline"])]
    assert [secret for secret in secrets if any(secret in text for text in seen)] == []


def test_no_secret_is_in_the_repository(running: Contained) -> None:
    """Nor could one be there by chance: no file of it holds a password of a stack that runs."""
    names = subprocess.run(
        ["git", "ls-files", "-z"], cwd=REPOSITORY, capture_output=True, check=True
    ).stdout.decode()
    texts = [(REPOSITORY / name).read_bytes() for name in names.split("\0") if name]
    assert len(texts) > 100
    for file in (running.stack.root / "secrets").iterdir():
        secret = file.read_bytes().strip()
        assert not any(secret in text for text in texts), file.name


def test_processes_are_not_root_and_hold_no_capabilities(running: Contained) -> None:
    for name in ("kafka", "postgres"):
        status = running.stack.run("exec", name, "cat", "/proc/1/status").stdout
        fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
        assert fields["Uid"].split()[0] != "0", name
        assert int(fields["CapEff"], 16) == 0, name


def test_exec_passes_output_and_exit_code_on(running: Contained) -> None:
    done = running.stack.run(
        "exec", "postgres", "--", "sh", "-c", "echo out; echo err >&2; exit 7", check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (7, "out\n", "err\n")


def test_logs_come_from_the_containers_and_are_followed(running: Contained) -> None:
    assert "Kafka Server started" in running.stack.run("logs", "kafka", "-n", "2000").stdout
    follower = scenario.start(running.stack, "logs", "postgres", "-f", "-n", "1")
    assert follower.process.stdout is not None
    assert follower.process.stdout.readline()  # from here on it follows
    with pytest.raises(psycopg.Error, match="nowhere"):
        scenario.execute(running.stack, "SELECT 'a line to look for' FROM nowhere")
    assert any("a line to look for" in line for line in follower.process.stdout)
    follower.interrupt()
    follower.finish()


def test_restart_keeps_the_container_and_its_data(running: Contained) -> None:
    before = running.ids()
    produce_and_verify(running, 200)
    report = running.stack.json("restart", "kafka")
    assert report["changed"] == ["kafka started"]
    assert running.ids() == before
    produce_and_verify(running, 200)


def test_one_changed_setting_recreates_one_container(new_contained: NewContained) -> None:
    one = new_contained()
    one.stack.up()
    produce_and_verify(one, 500)
    before = one.ids()
    changed = {"FRAUDCTL_KAFKA__HEAP_MB": "600"}
    planned = json.loads(one.stack.run("up", "--dry-run", "--json", env=changed).stdout)
    assert planned["steps"][0] == f"remove {one.project}-kafka-1  (changed: variable KAFKA_HEAP_OPTS)"
    one.stack.run("up", env=changed)
    after = one.ids()
    assert {name for name in after if after[name] != before[name]} == {"kafka"}
    produce_and_verify(one, 500)

    one.stack.run("up", env=changed | {"FRAUDCTL_DOCKER__POSTGRES_MEMORY": "600m"})
    last = one.ids()
    assert {name for name in last if last[name] != after[name]} == {"postgres"}
    produce_and_verify(one, 500)


@pytest.mark.parametrize("victim", ["kafka", "postgres"])
def test_up_heals_a_container_killed_under_load(new_contained: NewContained, victim: str) -> None:
    """Intent: a killed service costs time, nothing else."""
    one = new_contained()
    one.stack.up()
    detect = scenario.start(one.stack, "detect", "--json")
    scenario.wait_for("the detector", lambda: scenario.detector_pid(one.stack))
    produce = scenario.start(one.stack, "produce", "--rate", "300", "--duration", "25s", "--json")
    scenario.wait_for("a landed batch", lambda: scenario.landed_records(one.stack) > 0)
    one.containers()[victim].kill()
    report = one.stack.json("up")
    assert report["changed"] == [f"{victim} started"]
    produced = json.loads(produce.finish())
    assert produced["failed"] == 0
    scenario.wait_for(
        "the rest to land", lambda: scenario.landed_records(one.stack) >= produced["acknowledged"]
    )
    detect.interrupt()
    detect.finish()
    assert one.stack.json("verify-idempotency")["verdict"] == "ok"


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_up_takes_back_what_it_did(new_contained: NewContained, number: int) -> None:
    one = new_contained()
    up = scenario.start(one.stack, "up")
    scenario.wait_for("a container", one.containers)
    up.process.send_signal(number)
    up.finish(codes=(130,))
    assert one.leftovers() == []
    one.stack.up()


def test_a_password_of_one_s_own_is_taken(new_contained: NewContained) -> None:
    one = new_contained()
    mine = one.stack.home / "my password"
    mine.write_text("correct horse battery staple\n", encoding="utf-8")
    mine.chmod(0o600)
    own = {"FRAUDCTL_POSTGRES__PASSWORD_FILE": str(mine)}
    one.stack.up(env=own)
    assert one.stack.run("status", env=own).returncode == 0
    assert not (one.stack.root / "secrets" / "postgres.password").exists()


def test_two_stacks_run_side_by_side(new_contained: NewContained) -> None:
    one, other = new_contained(), new_contained()
    one.stack.up()
    other.stack.up()
    assert one.stack.json("status")["healthy"] and other.stack.json("status")["healthy"]
    one.stack.down()
    assert one.leftovers() == []
    assert other.stack.json("status")["healthy"]


def test_the_profile_is_kept_in_the_state(new_contained: NewContained) -> None:
    """The first `up` finds the engine by itself; later commands do as it did."""
    one = new_contained({"FRAUDCTL_PROFILE": "auto"})
    assert json.loads(one.stack.run("up", "--json").stdout)["reason"].startswith("auto: Docker ")
    status = one.stack.json("status")
    assert (status["profile"], status["healthy"]) == ("docker", True)
    for command, says in ((("up",), "runs under"), (("down", "--volumes", "--yes"), "was brought up under")):
        refused = one.stack.run(*command, "--profile", "local", check=False)
        assert refused.returncode == 3
        assert f"{says} the profile docker" in refused.stderr
    assert one.stack.json("status")["healthy"]


@pytest.mark.parametrize("damage", ["the stack's folder is gone", "its state is damaged"])
def test_down_finds_containers_that_nothing_tells_of(new_contained: NewContained, damage: str) -> None:
    one = new_contained({"FRAUDCTL_PROFILE": "auto"})
    one.stack.up()
    if damage == "its state is damaged":
        (one.stack.root / "run" / "stack.json").write_text("{", encoding="utf-8")
        hinted = one.stack.run("status", check=False)
        assert (hinted.returncode, "`fraudctl down`" in hinted.stderr) == (3, True)
    else:
        shutil.rmtree(one.stack.root)
    report = one.stack.json("down", "--volumes", "--yes")
    assert {report["stopped"][name] for name in ("kafka", "postgres")} == {"stopped"}
    assert one.leftovers() == []


def compose(one: Contained, *arguments: str) -> str:
    """`docker compose` on the shipped file, with the settings of the stack as its environment."""
    file = REPOSITORY / "compose" / "compose.yaml"
    done = subprocess.run(
        ["docker", "compose", "-p", one.project, "-f", str(file), *arguments],
        env=one.stack.env,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.skipif(not PLUGIN, reason="docker compose is not installed")
def test_docker_compose_sees_the_stack(running: Contained) -> None:
    shown = compose(running, "ps", "--all", "--format", "json")
    services = {json.loads(line)["Service"] for line in shown.splitlines()}
    assert services == {"kafka", "postgres", "secrets"}
    assert running.project in compose(running, "ls", "--all")
    assert "Kafka Server started" in compose(running, "logs", "kafka")


@pytest.mark.skipif(not PLUGIN, reason="docker compose is not installed")
def test_a_stack_of_docker_compose_is_seen_and_taken_over(new_contained: NewContained) -> None:
    """Intent: both ways to start the file make one and the same stack."""
    one = new_contained()
    cluster = one.stack.json("config", "show")  # settings can be read before anything is up
    assert cluster
    compose(one, "up", "--detach", "--wait", "kafka", "postgres")
    status = one.stack.json("status", check=False)
    assert status["services"]["kafka"]["state"] == "running"
    assert status["services"]["postgres"]["state"] == "running"
    assert status["topic"]["exists"] is False
    one.stack.run("up")
    produce_and_verify(one, 300)
    # The passwords are those that the containers have made, for Grafana's role too.
    inside = one.containers()["postgres"].exec_run(["cat", "/run/secrets/reader.password"], user="0").output
    found = one.stack.json("status")["services"]["postgres"]
    with psycopg.connect(
        host=found["host"],
        port=found["port"],
        dbname=found["database"],
        user="fraud_reader",
        password=inside.decode().strip(),
    ) as connection:
        counted = connection.execute("SELECT sum(transactions) FROM fraud.panel_slices").fetchone()
    assert counted and counted[0] > 0
    compose(one, "down", "--volumes")
    assert one.leftovers() == []

    # Once more, with passwords that this machine's copies know nothing of.
    compose(one, "up", "--detach", "--wait", "kafka", "postgres")
    one.stack.run("up")
    assert one.stack.json("status")["healthy"]
    volumes = {
        mount["Name"]
        for each in one.containers().values()
        for mount in each.attrs["Mounts"]
        if mount["Type"] == "volume"
    }
    assert all(name.startswith(f"{one.project}_") for name in volumes), "one without a name would stay behind"


@pytest.mark.skipif(not PLUGIN, reason="docker compose is not installed")
def test_down_leaves_what_compose_started_unless_told(new_contained: NewContained) -> None:
    one = new_contained({"FRAUDCTL_PROFILE": "auto"})
    compose(one, "up", "--detach", "--wait", "kafka", "postgres")
    told = one.stack.run("down", "--volumes", "--yes")
    assert (
        "which this stack did not start: `fraudctl down --profile docker` stops them as well" in told.stderr
    )
    assert {"kafka", "postgres"} <= one.containers().keys()
    one.stack.run("down", "--volumes", "--yes", "--profile", "docker")
    assert one.leftovers() == []
