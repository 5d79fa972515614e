"""The planner of containers: every case compares the plan as text. No engine is needed, nor is there one."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from fraudctl.errors import RefusedError
from fraudctl.runtime.compose.model import ComposeFile
from fraudctl.runtime.compose.read import read_compose
from fraudctl.runtime.docker.container import config_hash, engine_config, facts
from fraudctl.runtime.docker.identity import Identity, project_name
from fraudctl.runtime.docker.observed import Container, Holder, Network, Observed, Volume
from fraudctl.runtime.docker.plan import plan_down, plan_up

FILE = Path("/project/compose.yaml")
ME = Identity("p", "/home/stacks/p", FILE)
TEXT = """
name: p
services:
  keys:
    image: db:1
    volumes: [keys:/keys]
    network_mode: none
  log:
    image: log:1
    environment: {SIZE: "${SIZE:-1}"}
    ports: ["127.0.0.1:${PORT:-9092}:9092"]
    volumes: [log:/log]
    healthcheck: {test: [CMD, ok], interval: 2s, timeout: 1s, retries: 3, start_period: 1m}
    mem_limit: ${MEMORY:-1g}
  db:
    image: db:1
    ports: ["127.0.0.1:5432:5432"]
    volumes: [db:/db, "keys:/keys:ro"]
    healthcheck: {test: [CMD, ok], interval: 2s, timeout: 1s, retries: 3, start_period: 1m}
    depends_on: {keys: {condition: service_completed_successfully}}
  board:
    profiles: [board]
    image: board:1
    ports: ["127.0.0.1:3000:3000"]
    healthcheck: {test: [CMD, ok], interval: 2s, timeout: 1s, retries: 3, start_period: 1m}
    depends_on: {db: {condition: service_healthy}}
  batch:
    profiles: [submit]
    image: log:1
volumes: {keys: , log: , db: }
"""
BOARD = frozenset({"board"})
NOTHING = Observed(images={"db:1": "sha-db", "log:1": "sha-log", "board:1": "sha-board"})
NETWORK = Network("n1", "p_default", "p", ME.folder)
VOLUMES = tuple(Volume(f"p_{name}", "p", ME.folder) for name in ("keys", "log", "db"))


def read(**variables: str) -> ComposeFile:
    return read_compose(TEXT, FILE, variables)


def container(name: str, **changes: Any) -> Container:
    """As `up` leaves it: `keys` has ended, the others are healthy."""
    service = read().service(name)
    config = engine_config(service, ME)
    found = Container(
        id=f"id-{name}",
        name=f"p-{name}-1",
        state="running",
        project="p",
        service=name,
        health="healthy",
        image_id=str(NOTHING.images[service.image]),
        config_hash=config_hash(config),
        folder=ME.folder,
        facts=facts(config),
        network_ids=frozenset({"n1"}),
    )
    if name == "keys":
        found = replace(found, state="exited", health="none", network_ids=frozenset())
    return replace(found, **changes)


def up(*containers: Container, **changes: Any) -> Observed:
    """A complete stack, with some of its containers other than they should be."""
    rest = {name: container(name) for name in ("keys", "log", "db")}
    rest |= {each.service: each for each in containers}
    seen = Observed(NOTHING.images, tuple(rest.values()), VOLUMES, (NETWORK,))
    return replace(seen, **changes)


def plan(
    seen: Observed, *, profiles: frozenset[str] = frozenset(), identity: Identity = ME, **variables: str
) -> list[str]:
    return plan_up(read(**variables), profiles, identity, seen).text.splitlines()


ALL_NEW = [
    "create network p_default  (there is none)",
    "create volume p_keys  (there is none)",
    "create volume p_log  (there is none)",
    "create volume p_db  (there is none)",
    "create p-keys-1  (there is none)",
    "create p-log-1  (there is none)",
    "create p-db-1  (there is none)",
    "start p-keys-1",
    "start p-log-1",
    "wait for p-keys-1",
    "start p-db-1",
    "wait for p-log-1",
    "wait for p-db-1",
]


def test_from_nothing() -> None:
    assert plan(NOTHING) == ALL_NEW


def test_a_second_time_changes_nothing() -> None:
    assert plan(up()) == []


def test_images_that_are_missing_are_fetched_first_and_once_each() -> None:
    seen = replace(NOTHING, images={"db:1": None, "log:1": None})
    missing = ["pull db:1  (the engine has none)", "pull log:1  (the engine has none)"]
    assert plan(seen) == missing + ALL_NEW


def test_an_image_that_is_gone_is_not_fetched_for_a_container_that_stays() -> None:
    assert plan(up(images={"db:1": None, "log:1": None})) == []


def test_data_of_an_earlier_life_is_taken_up() -> None:
    seen = replace(NOTHING, volumes=VOLUMES)
    assert plan(seen) == [line for line in ALL_NEW if "volume" not in line]


def test_only_the_missing_volume_is_created() -> None:
    seen = replace(NOTHING, volumes=VOLUMES[:2])
    assert [line for line in plan(seen) if "volume" in line] == ["create volume p_db  (there is none)"]


def test_a_killed_container_is_started_again() -> None:
    killed = container("log", state="exited", health="unhealthy", exit_code=137)
    assert plan(up(killed)) == ["start p-log-1  (it is exited (exit code 137))", "wait for p-log-1"]


def test_a_stopped_container_is_started_again() -> None:
    assert plan(up(container("db", state="exited", health="none"))) == [
        "start p-db-1  (it is exited)",
        "wait for p-db-1",
    ]


def test_a_container_whose_start_failed_is_started() -> None:
    assert plan(up(container("log", state="created", health="none"))) == [
        "start p-log-1  (it is created)",
        "wait for p-log-1",
    ]


def test_one_that_is_on_its_way_is_waited_for() -> None:
    assert plan(up(container("log", health="starting"))) == ["wait for p-log-1"]


def test_one_that_the_engine_is_restarting_is_waited_for() -> None:
    assert plan(up(container("log", state="restarting", health="starting"))) == ["wait for p-log-1"]


def test_an_unhealthy_one_is_restarted() -> None:
    assert plan(up(container("db", health="unhealthy"))) == [
        "restart p-db-1  (it is unhealthy)",
        "wait for p-db-1",
    ]


def test_a_paused_one_goes_on() -> None:
    assert plan(up(container("log", state="paused"))) == [
        "unpause p-log-1  (it is paused)",
        "wait for p-log-1",
    ]


@pytest.mark.parametrize("state", ["dead", "removing"])
def test_one_that_is_beyond_repair_is_made_anew(state: str) -> None:
    assert plan(up(container("log", state=state))) == [
        f"remove p-log-1  (it is {state})",
        "create p-log-1",
        "start p-log-1",
        "wait for p-log-1",
    ]


def test_an_engine_that_knows_no_health_is_believed() -> None:
    assert plan(up(container("log", health="none"))) == []


@pytest.mark.parametrize(
    ("variables", "cause"),
    [
        ({"SIZE": "2"}, "changed: variable SIZE"),
        ({"PORT": "9999"}, "changed: port 9092/tcp"),
        ({"MEMORY": "2g"}, "changed: memory limit"),
        ({"SIZE": "2", "MEMORY": "2g"}, "changed: memory limit, variable SIZE"),
    ],
)
def test_a_changed_setting_touches_only_what_it_changes(variables: dict[str, str], cause: str) -> None:
    assert plan(up(), **variables) == [
        f"remove p-log-1  ({cause})",
        "create p-log-1",
        "start p-log-1",
        "wait for p-log-1",
    ]


def test_what_is_no_fact_still_changes_the_description() -> None:
    old = container("log", config_hash="another")
    assert plan(up(old))[0] == "remove p-log-1  (its description has changed)"


def test_the_present_of_the_stopped_does_not_hide_a_change() -> None:
    stopped = container("log", state="exited", health="none")
    assert plan(up(stopped), SIZE="2")[0] == "remove p-log-1  (changed: variable SIZE)"


def test_another_image_under_the_same_name() -> None:
    images = {**NOTHING.images, "log:1": "sha-newer"}
    assert plan(up(images=images))[0] == "remove p-log-1  (log:1 is another image now)"


def test_a_shared_image_touches_all_that_use_it() -> None:
    images = {**NOTHING.images, "db:1": "sha-newer"}
    assert [line for line in plan(up(images=images)) if line.startswith("remove")] == [
        "remove p-keys-1  (db:1 is another image now)",
        "remove p-db-1  (db:1 is another image now)",
    ]


def test_fetching_comes_before_removing() -> None:
    images = {"db:1": "sha-db", "log:1": None}
    lines = plan(up(images=images), SIZE="2")
    assert lines[:2] == ["pull log:1  (the engine has none)", "remove p-log-1  (changed: variable SIZE)"]


def test_a_network_that_was_made_anew_takes_its_containers_along() -> None:
    lines = plan(up(networks=(replace(NETWORK, id="n2"),)))
    assert [line for line in lines if line.startswith("remove")] == [
        "remove p-log-1  (its network is gone)",
        "remove p-db-1  (its network is gone)",
    ]


def test_a_network_that_is_missing_is_made_first() -> None:
    lines = plan(up(networks=()))
    assert "create network p_default  (there is none)" in lines
    assert lines.index("create network p_default  (there is none)") < lines.index("create p-log-1")


def test_a_task_that_failed_is_run_again() -> None:
    assert plan(up(container("keys", exit_code=1))) == [
        "start p-keys-1  (it is exited (exit code 1))",
        "wait for p-keys-1",
    ]


def test_a_task_at_work_is_waited_for_before_those_that_need_it() -> None:
    seen = up(container("keys", state="running"), container("db", state="exited"))
    assert plan(seen) == ["wait for p-keys-1", "start p-db-1  (it is exited)", "wait for p-db-1"]


def test_a_task_that_is_done_holds_nobody_up() -> None:
    seen = up(container("db", state="exited", health="none"))
    assert plan(seen) == ["start p-db-1  (it is exited)", "wait for p-db-1"]


def test_a_profile_adds_its_services() -> None:
    assert plan(up(), profiles=BOARD) == [
        "create p-board-1  (there is none)",
        "start p-board-1",
        "wait for p-board-1",
    ]


def test_a_dependent_waits_until_what_it_needs_is_well() -> None:
    seen = up(container("db", state="exited", health="none"))
    lines = plan(seen, profiles=BOARD)
    assert lines.index("wait for p-db-1") < lines.index("start p-board-1")


def test_a_dependent_is_left_alone_when_what_it_needs_is_made_anew() -> None:
    seen = up(container("board"), container("db", config_hash="another"))
    assert not [line for line in plan(seen, profiles=BOARD) if "board" in line]


def test_a_profile_that_is_given_up_takes_its_containers_away() -> None:
    assert plan(up(container("board"))) == ["remove p-board-1  (its profile is not chosen)"]


def test_services_that_the_file_does_not_know_are_left_alone() -> None:
    other = replace(container("log"), name="p-tool-1", service="tool")
    assert plan(up(other, container("log"))) == []


def test_a_second_container_of_a_service_is_removed() -> None:
    second = replace(container("log"), name="p-log-2", id="id-2")
    seen = up()
    assert plan(replace(seen, containers=(*seen.containers, second))) == [
        "remove p-log-2  (one of a kind is enough)"
    ]


def composed(name: str, **changes: Any) -> Container:
    """The same container as `docker compose up` creates it."""
    extra = {**container(name).facts, "variable PATH": "/bin"}
    return container(name, config_hash=None, folder=None, facts=extra, **changes)


def test_a_stack_of_docker_compose_is_taken_over_untouched() -> None:
    seen = up(composed("keys"), composed("log"), composed("db"))
    bare = tuple(replace(volume, folder=None) for volume in VOLUMES)
    assert plan(replace(seen, volumes=bare, networks=(replace(NETWORK, folder=None),))) == []


def test_a_stack_of_docker_compose_with_other_settings_is_changed_where_they_differ() -> None:
    seen = up(composed("keys"), composed("log"), composed("db"))
    assert plan(seen, SIZE="5")[0] == "remove p-log-1  (changed: variable SIZE)"
    assert len(plan(seen, SIZE="5")) == 4


def test_a_name_that_somebody_else_has_is_refused() -> None:
    stranger = Container("x", "p-log-1", "exited")
    with pytest.raises(RefusedError, match="the name p-log-1 is taken") as caught:
        plan(replace(NOTHING, containers=(stranger,)))
    assert "docker rm -f p-log-1" in caught.value.hint


def test_a_name_of_a_service_that_is_not_wanted_may_be_taken() -> None:
    stranger = Container("x", "p-board-1", "running")
    assert plan(replace(NOTHING, containers=(stranger,))) == ALL_NEW


@pytest.mark.parametrize("project", ["", "other"])
def test_a_volume_of_somebody_else_is_refused(project: str) -> None:
    with pytest.raises(RefusedError, match="the volume p_db does not belong") as caught:
        plan(replace(NOTHING, volumes=(Volume("p_db", project),)))
    assert ("for the project other" in caught.value.detail) == bool(project)
    assert "docker volume rm p_db" in caught.value.hint


def test_a_volume_left_by_a_stack_of_another_home_is_refused() -> None:
    left = Volume("p_log", "p", "/gone/stacks/p")
    with pytest.raises(RefusedError, match="belongs to another stack of the same name") as caught:
        plan(replace(NOTHING, volumes=(left,)))
    assert "/gone/stacks/p" in caught.value.detail
    assert "docker volume rm p_log" in caught.value.hint


def test_a_network_of_somebody_else_is_refused() -> None:
    with pytest.raises(RefusedError, match="the network p_default does not belong"):
        plan(replace(NOTHING, networks=(Network("x", "p_default"),)))


def test_containers_of_a_stack_of_another_home_are_refused() -> None:
    with pytest.raises(RefusedError, match="container p-log-1 belongs to another stack"):
        plan(up(container("log", folder="/elsewhere")))


@pytest.mark.parametrize(
    ("holder", "words"),
    [
        (Holder("process", "java (pid 7)", "java -jar x"), "held by java (pid 7)"),
        (Holder("container", "the container web"), "held by the container web"),
    ],
)
def test_a_port_that_is_taken_is_refused_with_its_holder(holder: Holder, words: str) -> None:
    with pytest.raises(RefusedError) as caught:
        plan(replace(NOTHING, ports={5432: holder}))
    assert caught.value.message == f"port 5432 for db is {words}"
    assert caught.value.detail == holder.detail
    assert "--any-port" in caught.value.hint


def test_a_port_that_nobody_needs_now_may_be_taken() -> None:
    taken = {9092: Holder("process", "x"), 3000: Holder("process", "y")}
    assert plan(up(ports=taken)) == []


def test_a_port_of_a_stopped_container_must_be_free_again() -> None:
    seen = up(container("log", state="exited"), ports={9092: Holder("process", "x")})
    with pytest.raises(RefusedError, match="port 9092 for log"):
        plan(seen)


def down(seen: Observed, *, volumes: bool = False) -> list[str]:
    return plan_down(read(), ME, seen, volumes=volumes).text.splitlines()


def test_down_removes_what_depends_before_what_is_needed_and_keeps_data() -> None:
    assert down(up(container("board"))) == [
        "remove p-board-1",
        "remove p-db-1",
        "remove p-log-1",
        "remove p-keys-1",
        "remove network p_default",
    ]


def test_down_with_volumes_leaves_nothing() -> None:
    assert down(up(), volumes=True)[-3:] == [
        "remove volume p_keys",
        "remove volume p_log",
        "remove volume p_db",
    ]


def test_down_twice_is_once() -> None:
    assert down(NOTHING, volumes=True) == []


def test_down_removes_services_that_the_file_does_not_know_first() -> None:
    tool = replace(container("log"), name="p-tool-1", service="tool")
    seen = up()
    assert down(replace(seen, containers=(*seen.containers, tool)))[0] == "remove p-tool-1"


def test_down_leaves_strangers_alone() -> None:
    seen = Observed(
        {}, (Container("x", "p-log-1", "running"),), (Volume("p_log"),), (Network("x", "p_default"),)
    )
    assert down(seen, volumes=True) == []


def test_down_refuses_the_stack_of_another_home() -> None:
    with pytest.raises(RefusedError, match="another stack of the same name"):
        down(up(container("log", folder="/elsewhere")), volumes=True)


def test_waiting_is_no_change() -> None:
    found = plan_up(read(), frozenset(), ME, up(container("log", health="starting")))
    assert found.steps and not found.changes


def test_the_engine_is_told_everything() -> None:
    config = engine_config(read().service("log"), ME)
    host = config["HostConfig"]
    assert config["Env"] == ["SIZE=1"]
    assert host["PortBindings"] == {"9092/tcp": [{"HostIp": "127.0.0.1", "HostPort": "9092"}]}
    assert host["Mounts"][0] == {"Type": "volume", "Source": "p_log", "Target": "/log", "ReadOnly": False}
    assert host["Memory"] == 1024**3
    assert config["Healthcheck"]["StartPeriod"] == 60_000_000_000
    assert config["NetworkingConfig"]["EndpointsConfig"]["p_default"]["Aliases"] == ["p-log-1", "log"]
    assert engine_config(read().service("keys"), ME)["HostConfig"]["NetworkMode"] == "none"


def test_compose_finds_a_container_by_its_labels() -> None:
    labels = ME.container_labels(read().service("db"), "h", "sha-db")
    assert labels["com.docker.compose.project"] == "p"
    assert labels["com.docker.compose.service"] == "db"
    assert labels["com.docker.compose.oneoff"] == "False"
    assert labels["com.docker.compose.container-number"] == "1"
    assert labels["com.docker.compose.project.working_dir"] == "/project"
    assert labels["com.docker.compose.depends_on"] == "keys:service_completed_successfully:false"


def test_stacks_have_projects_of_their_own() -> None:
    assert project_name("fraudctl", "default") == "fraudctl"
    assert project_name("fraudctl", "demo") == "fraudctl-demo"


def test_what_runs_on_demand_is_neither_started_nor_removed() -> None:
    at_work = Container("id-batch", "p-batch-1", "running", project="p", service="batch", folder=ME.folder)
    seen = up()
    seen = replace(seen, containers=(*seen.containers, at_work))
    assert plan(seen) == []
    down = plan_down(read(), ME, seen, volumes=False).text.splitlines()
    assert down[0] == "remove p-batch-1"
