"""The strict reader of compose.yaml: what it understands, and how it refuses the rest."""

import base64
from pathlib import Path

import pytest

from fraudctl import assets
from fraudctl.broker.topics import topic_settings
from fraudctl.config.load import load
from fraudctl.errors import ConfigError
from fraudctl.runtime.compose.interpolate import InterpolationError, interpolate
from fraudctl.runtime.compose.model import ComposeFile, Mount, Port
from fraudctl.runtime.compose.read import load_compose, read_compose

FILE = Path("/project/compose.yaml")
HEALTH = "healthcheck: {test: [CMD, ok], interval: 2s, timeout: 1s, retries: 3, start_period: 1m30s}"


def read(text: str, **variables: str) -> ComposeFile:
    return read_compose(text, FILE, variables)


def service(*lines: str) -> str:
    """A file with one service `one` and the volume `data`; `lines` begin on line 6."""
    return "\n".join(
        ("name: demo", "volumes:", "  data:", "services:", "  one:", *(f"    {line}" for line in lines))
    )


@pytest.mark.parametrize(
    ("text", "variables", "expected"),
    [
        ("plain", {}, "plain"),
        ("${A}", {"A": "x"}, "x"),
        ("${A:-d}", {}, "d"),
        ("${A:-d}", {"A": ""}, "d"),
        ("${A-d}", {"A": ""}, ""),
        ("${A-d}", {}, "d"),
        ("${A:-}", {}, ""),
        ("a${A:-b:c/d}e", {}, "ab:c/de"),
        ("$$HOME $${x%%:*}", {}, "$HOME ${x%%:*}"),
        ("${A}${B:-2}", {"A": "1"}, "12"),
    ],
)
def test_variables(text: str, variables: dict[str, str], expected: str) -> None:
    assert interpolate(text, variables) == expected


@pytest.mark.parametrize("text", ["$A", "${A}", "${A:?needed}", "${A:-${B}}", "${", "$", "${1}"])
def test_what_is_no_variable_is_refused(text: str) -> None:
    with pytest.raises(InterpolationError):
        interpolate(text, {})


def test_one_service_in_full() -> None:
    found = read(
        service(
            "image: ${IMAGE:-kafka:4}",
            "command: [run, --fast]",
            "environment: {TZ: UTC, SIZE: '10', ON: true}",
            "ports: ['127.0.0.1:${PORT}:9092']",
            "volumes: ['data:/data', './conf:/conf:ro']",
            HEALTH,
            "mem_limit: 512m",
            "stop_grace_period: 1m",
            "tmpfs: [/tmp, '/run:uid=1']",
            "read_only: true",
        ),
        PORT="1234",
    ).service("one")
    assert found.image == "kafka:4"
    assert found.command == ("run", "--fast")
    assert found.environment == (("TZ", "UTC"), ("SIZE", "10"), ("ON", "true"))
    assert found.ports == (Port("127.0.0.1", 1234, 9092),)
    assert found.mounts == (
        Mount("volume", "data", "/data"),
        Mount("bind", "/project/conf", "/conf", read_only=True),
    )
    assert found.healthcheck is not None
    assert found.healthcheck.start_period == 90
    assert (found.memory_bytes, found.stop_seconds, found.read_only) == (512 * 1024**2, 60, True)
    assert found.tmpfs == (("/tmp", ""), ("/run", "uid=1"))


@pytest.mark.parametrize(
    ("lines", "line", "message"),
    [
        (["image: a", "imag: b"], 7, "unknown key 'imag'"),
        (["image: a", "privileged: true"], 7, "unknown key 'privileged'"),
        (["image: a", "image: b"], 7, "twice"),
        (["command: [x]"], 6, "names no image"),
        (["image: ''"], 6, "not the name of an image"),
        (["image: [a]"], 6, "single value"),
        (["image: a", "ports: ['9092:9092']"], 7, "127.0.0.1:PUBLISHED:TARGET"),
        (["image: a", "ports: ['0.0.0.0:1:1']"], 7, "reachable from outside"),
        (["image: a", "ports: ['127.0.0.1:0:1']"], 7, "does not exist"),
        (["image: a", "ports: ['127.0.0.1:1:70000']"], 7, "does not exist"),
        (["image: a", "volumes:", "  - data:/x", "  - other:/y"], 9, "not declared"),
        (["image: a", "volumes: ['data']"], 7, "SOURCE:/TARGET"),
        (["image: a", "volumes: ['data:/x:rx']"], 7, "SOURCE:/TARGET"),
        (["image: a", "command: run"], 7, "a list is expected"),
        (["image: a", "environment: [A=b]"], 7, "a mapping is expected"),
        (["image: a", "environment: {A: }"], 7, "single value"),
        (["image: a", "environment: {A: $B}"], 7, "dollar"),
        (["image: a", "environment: {A: '${B}'}"], 7, "variable B has no value"),
        (["image: a", "mem_limit: lots"], 7, "not a size"),
        (["image: a", "pids_limit: -1"], 7, "whole number"),
        (["image: a", "stop_grace_period: '10'"], 7, "not a duration"),
        (["image: a", "read_only: maybe"], 7, "not one of true, false"),
        (["image: a", "network_mode: host"], 7, "not one of none"),
        (["image: a", "healthcheck: {test: [CMD, x]}"], 7, "'interval' is missing"),
        (["image: a", HEALTH.replace("[CMD, ok]", "[ok]")], 7, "begins with CMD"),
        (["image: a", "depends_on: {two: {condition: service_started}}"], 6, "which is not there"),
        (["image: a", "depends_on: {one: {condition: service_started}}"], 5, "ring"),
        (["image: a", "depends_on: {one: {condition: soon}}"], 7, "not one of"),
        (["image: a", "depends_on: {one: {condition: service_healthy}}"], 6, "no healthcheck"),
        (["image: a", "tmpfs: [tmp]"], 7, "absolute"),
        (["image: a", "logging: {options: {a: b}}"], 7, "'driver' is missing"),
    ],
)
def test_what_fraudctl_does_not_run_is_refused_with_its_line(
    lines: list[str], line: int, message: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        read(service(*lines))
    assert caught.value.message.startswith(f"{FILE}:{line}: ")
    assert message in caught.value.message


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "empty"),
        ("a: [", "not valid YAML"),
        ("- a", "a mapping is expected"),
        ("services: {}", "'name' is missing"),
        ("name: a", "'services' is missing"),
        ("name: A B\nservices: {}", "not a name"),
        ("name: a\nservices: {}\nnetworks: {}", "unknown key 'networks'"),
        ("name: a\nservices: {}\nvolumes: {v: {driver: nfs}}", "has options"),
        ("name: a\nservices: {}\nx-secrets: {service: a}", "'folder' is missing"),
    ],
)
def test_a_file_that_is_none(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        read(text)


def test_unknown_extensions_are_passed_over() -> None:
    assert read("name: a\nservices: {}\nx-mine: {b: c}").services == ()


def test_the_nearest_key_is_named() -> None:
    with pytest.raises(ConfigError) as caught:
        read(service("image: a", "enviroment: {A: b}"))
    assert caught.value.hint == "did you mean environment?"


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="cannot be read"):
        load_compose(tmp_path / "compose.yaml", {})


@pytest.fixture(scope="module")
def shipped() -> ComposeFile:
    return load_compose(assets.compose_file(), {})


def test_services_come_after_what_they_need(shipped: ComposeFile) -> None:
    names = [each.name for each in shipped.chosen(frozenset({"grafana"}))]
    assert sorted(names) == ["grafana", "kafka", "postgres", "secrets"]
    assert names.index("secrets") < names.index("postgres") < names.index("grafana")
    assert "grafana" not in [each.name for each in shipped.chosen(frozenset())]


def test_the_shipped_file_is_closed_to_the_outside(shipped: ComposeFile) -> None:
    for each in shipped.services:
        assert ("TZ", "UTC") in each.environment
        assert each.cap_drop == ("ALL",), each.name
        assert each.security_opt == ("no-new-privileges:true",), each.name
        assert each.memory_bytes and each.pids_limit, each.name
        assert all(port.address == "127.0.0.1" for port in each.ports)


def test_no_variable_of_a_container_holds_a_secret(shipped: ComposeFile) -> None:
    words = ("PASSWORD", "SECRET", "TOKEN")
    held = [
        f"{each.name}: {name}"
        for each in shipped.services
        for name, value in each.environment
        if any(word in name for word in words) and not value.startswith("/run/secrets/")
    ]
    assert held == []


def test_defaults_are_those_of_the_settings(monkeypatch: pytest.MonkeyPatch) -> None:
    """Both ways to start the file must mean the same."""
    found = load_compose(assets.compose_file(), {})
    settings = load(profile="docker").settings
    images = {each.name: each.image for each in found.services}
    assert images == {
        "secrets": settings.docker.postgres_image,
        "kafka": settings.docker.kafka_image,
        "postgres": settings.docker.postgres_image,
        "grafana": settings.docker.grafana_image,
        **dict.fromkeys(("spark-master", "spark-worker", "detector"), settings.docker.spark_image),
        "app-topic": settings.docker.kafka_image,
        **dict.fromkeys(("app-schema", "app-producer", "app-detector"), "fraudctl:latest"),
    }
    published = {each.name: [port.published for port in each.ports] for each in found.services}
    assert published["kafka"] == [settings.kafka.port]
    assert published["postgres"] == [settings.postgres.port]
    assert published["grafana"] == [settings.docker.grafana_port]
    assert ("KAFKA_HEAP_OPTS", f"-Xmx{settings.kafka.heap_mb}m") in found.service("kafka").environment
    assert ("POSTGRES_DB", settings.postgres.database) in found.service("postgres").environment
    assert ("POSTGRES_USER", settings.postgres.user) in found.service("postgres").environment


def test_the_app_s_topic_is_the_one_that_up_would_make(shipped: ComposeFile) -> None:
    """Compose has no fraudctl at hand that could make it."""
    kafka = load(profile="docker").settings.kafka
    (script,) = shipped.service("app-topic").command or ()
    assert all(f"--config {name}={value}" in script for name, value in topic_settings(kafka).items())
    assert f"--topic {kafka.topic} --partitions {kafka.partitions} " in script


def test_the_cluster_id_is_one_that_kafka_takes(shipped: ComposeFile) -> None:
    """16 bytes in base64 without padding; Kafka's tools would take a leading hyphen for an option."""
    text = dict(shipped.service("kafka").environment)["CLUSTER_ID"]
    assert len(base64.urlsafe_b64decode(text + "==")) == 16
    assert not text.startswith("-")


# What the public images' entry points insist on, or do only when told.
KRAFT_NODE = {
    "KAFKA_NODE_ID",
    "KAFKA_PROCESS_ROLES",
    "KAFKA_LISTENERS",
    "KAFKA_ADVERTISED_LISTENERS",
    "KAFKA_CONTROLLER_QUORUM_VOTERS",
    "KAFKA_CONTROLLER_LISTENER_NAMES",
    "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP",
}


@pytest.mark.parametrize(
    ("image", "needed"),
    [
        # Any KAFKA_* given: no built-in default is taken, so a whole node must be described.
        ("apache/kafka", KRAFT_NODE | {"KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR"}),
        # KRaft only with CLUSTER_ID; ZooKeeper's variables must be absent; data where its volume is.
        ("confluentinc/cp-kafka", KRAFT_NODE | {"CLUSTER_ID", "KAFKA_LOG_DIRS"}),
    ],
)
def test_the_broker_is_described_for_both_images(shipped: ComposeFile, image: str, needed: set[str]) -> None:
    environment = dict(shipped.service("kafka").environment)
    assert needed <= environment.keys()
    assert "KAFKA_ZOOKEEPER_CONNECT" not in environment
    # Kafka refuses advertised listeners that name the controller, or a wildcard address.
    assert "CONTROLLER" not in environment["KAFKA_ADVERTISED_LISTENERS"]
    assert "0.0.0.0" not in environment["KAFKA_ADVERTISED_LISTENERS"]
    mapped = environment["KAFKA_LISTENER_SECURITY_PROTOCOL_MAP"]
    for listener in environment["KAFKA_LISTENERS"].split(","):
        assert f"{listener.split('://')[0]}:PLAINTEXT" in mapped
    assert environment["KAFKA_LOG_DIRS"] == shipped.service("kafka").mounts[0].target


def test_a_volume_may_lie_in_a_folder_of_the_stack(shipped: ComposeFile) -> None:
    """Before a detector starts, its checkpoint is looked at from this machine."""
    assert shipped.stack_folders == (("checkpoints", "data"),)


@pytest.mark.parametrize(
    "options", ["{driver: nfs}", "{x-stack-folder: ../elsewhere}", "{x-stack-folder: data, external: true}"]
)
def test_a_volume_takes_no_other_option(options: str) -> None:
    with pytest.raises(ConfigError, match=r"compose.yaml:4"):
        read_compose(f"name: p\nservices: {{}}\nvolumes:\n  a: {options}\n", Path("compose.yaml"), {})
