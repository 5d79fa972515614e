"""The detector's container as it is asked of the engine: what it sees, what it may, what it is never told."""

import json
import os
import subprocess
import sys
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from fraudctl import assets
from fraudctl.clock import Deadline
from fraudctl.config.lane import LIVE
from fraudctl.config.load import load
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import silent
from fraudctl.runtime.compose.read import load_compose
from fraudctl.runtime.docker.address import EngineAddress
from fraudctl.runtime.docker.detector.container import DetectorContainer
from fraudctl.runtime.docker.detector.packages import NEEDED, requirements
from fraudctl.runtime.docker.detector.spark_user import SparkUser, spark_user
from fraudctl.runtime.docker.identity import Identity
from fraudctl.runtime.jvm.spark_submit import SparkSubmit
from tests.support.app_stand_in import needed

GIVEN = SparkUser(185, 185, given=True)
GOOD = {
    "python": [3, 12],
    "program": "/usr/bin/python3.12",
    "machine": "x86_64",
    "spark_home": "/opt/spark",
    "spark": [f"spark-core_2.13-{version('pyspark')}.jar"],
    "missing": [],
}


class Images:
    """An engine whose one image answers as it is told."""

    address = EngineAddress("unix:///engine.sock", "test")

    def __init__(self, *said: str) -> None:
        self.said = list(said)
        self.asked = 0

    def image_id(self, _image: str) -> str:
        return "sha256:1234"

    def create(self, config: dict[str, Any], _labels: dict[str, str], _name: str) -> None:
        assert config["HostConfig"] == {"NetworkMode": "none"}
        self.asked += 1

    def start(self, _name: str) -> None: ...
    def wait(self, _name: str, _seconds: float) -> None: ...
    def remove(self, _name: str) -> None: ...

    def log(self, _name: str, _lines: int) -> list[str]:
        return self.said


def container(engine: Images, folder: Path, user: SparkUser = GIVEN) -> DetectorContainer:
    paths = StackPaths(folder / "home", "s", folder / "cache")
    variables = {"FRAUD_CHECKPOINTS": str(paths.data)}
    if users := user.users_file(paths):
        variables["FRAUD_SPARK_USERS"] = f"{users}:/etc/passwd"
    file = load_compose(assets.compose_file(), variables)
    identity = Identity("fraudctl-s", str(paths.root), file.file)
    return DetectorContainer(engine, file, identity, load().settings, paths, LIVE, user)


def test_an_image_is_asked_once(tmp_path: Path) -> None:
    engine = Images("a warning", json.dumps(GOOD))
    one = container(engine, tmp_path)
    for _ in range(2):
        interior, shown = one.interior(Deadline(5), silent)
        assert interior.python == "/usr/bin/python3.12"
        assert interior.host == "fraudctl-s-detector-1"
        assert set(shown) == {assets.PACKAGE, assets.configs(), assets.sql()}
    assert engine.asked == 1


@pytest.mark.parametrize(
    ("python", "words"),
    [([3, 10], "has Python 3.10; the detector needs 3.11"), (None, "has no Python; the detector needs")],
)
def test_an_old_python_is_refused_with_the_way_out(
    tmp_path: Path, python: list[int] | None, words: str
) -> None:
    engine = Images(json.dumps({**GOOD, "python": python}))
    with pytest.raises(RefusedError, match=words) as caught:
        container(engine, tmp_path).interior(Deadline(5), silent)
    assert "docker build -t fraudctl-spark --build-arg SPARK_IMAGE=apache/spark" in caught.value.hint
    assert (assets.compose_file().parent / "spark" / "Dockerfile").is_file()


@pytest.mark.parametrize("said", [(), ("sh: not found",)])
def test_an_image_that_says_nothing_of_use(tmp_path: Path, said: tuple[str, ...]) -> None:
    with pytest.raises(RefusedError, match="does not say what it holds"):
        container(Images(*said), tmp_path).interior(Deadline(5), silent)


@pytest.mark.parametrize("jars", [[], ["spark-core_2.12-4.2.0.jar"], ["spark-core_2.13-4.1.1.jar"]])
def test_an_image_with_another_spark_or_scala_is_refused(tmp_path: Path, jars: list[str]) -> None:
    engine = Images(json.dumps({**GOOD, "spark": jars}))
    with pytest.raises(RefusedError, match=jars[0] if jars else "has no Spark") as caught:
        container(engine, tmp_path).interior(Deadline(5), silent)
    assert "needs Spark 4.2 for Scala 2.13" in caught.value.detail


def test_the_packages_are_all_that_the_detector_imports() -> None:
    """Asked of a process of its own: this one has imported more."""
    script = """if True:
        import sys
        from importlib.metadata import packages_distributions
        import fraudctl.detector.app
        owners = packages_distributions()
        print(*{each for name in sys.modules for each in owners.get(name.partition(".")[0], ())})
    """
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    imported = {name.lower().replace("_", "-") for name in done.stdout.split()}
    brought: set[str] = set()
    for name in NEEDED.values():
        plain, _, extra = name.rstrip("]").partition("[")
        needed(plain, brought)
        if extra:
            needed(f"{plain}-{extra}", brought)
    assert imported - brought <= {"fraudctl", "py4j", "pyspark", "setuptools"}


def test_packages_have_the_versions_of_this_machine() -> None:
    assert len(requirements()) == len(NEEDED)
    assert all("==" in each for each in requirements())


@pytest.mark.parametrize("user", [GIVEN, SparkUser(1000, 100), SparkUser(0, 0)], ids=lambda user: user.name)
def test_it_sees_what_it_needs_and_no_secret_but_one(tmp_path: Path, user: SparkUser) -> None:
    one = container(Images(), tmp_path, user)
    password = tmp_path / "writer.password"
    submit = SparkSubmit(("spark-submit", "job.json"), {"PYSPARK_DRIVER_PYTHON": "python3", "TZ": "UTC"})
    order = one.order(submit, password, (Path("/shown"),))
    host = order.config["HostConfig"]
    seen = {mount["Target"]: (mount["Source"], mount["ReadOnly"]) for mount in host["Mounts"]}
    known = {"/run/users": ("/dev/null", True)}
    users = known if user.given else {"/etc/passwd": (str(one.paths.run / "spark.passwd"), True)}
    assert seen == {
        str(one.paths.data): ("fraudctl-s_checkpoints", False),
        str(one.paths.run): (str(one.paths.run), False),
        "/run/secrets/writer.password": (
            str(one.paths.secrets / "spark" / "writer.password" if user.given else password),
            True,
        ),
        "/shown": ("/shown", True),
        **users,
    }
    assert (order.volume, order.volume_place) == ("fraudctl-s_checkpoints", str(one.paths.data))
    assert host["ReadonlyRootfs"] and host["CapDrop"] == ["ALL"] and host["Memory"] == 2 * 1024**3
    assert host["PortBindings"] == {}
    assert order.config["Cmd"][-2:] == ["spark-submit", "job.json"]
    assert (order.config["OpenStdin"], order.config["StdinOnce"]) == (True, True)
    assert order.labels["com.docker.compose.project"] == "fraudctl-s"


@pytest.mark.parametrize(
    ("uid", "rootless", "user"),
    [
        (0, False, GIVEN),
        (1000, False, SparkUser(1000, 100)),
        (1000, True, SparkUser(0, 0)),
        (185, False, SparkUser(185, 100)),
    ],
)
def test_whoever_owns_the_folder_owns_what_is_written_there(
    monkeypatch: pytest.MonkeyPatch, uid: int, rootless: bool, user: SparkUser
) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: uid)
    monkeypatch.setattr(os, "getegid", lambda: 100)
    assert spark_user(rootless=rootless) == user


def test_a_user_whom_the_image_does_not_know_gets_a_name_and_a_home(tmp_path: Path) -> None:
    paths = StackPaths(tmp_path / "home", "s", tmp_path / "cache")
    user = SparkUser(1000, 100)
    user.write_users(paths)
    file = user.users_file(paths)
    assert file is not None
    assert file.read_text(encoding="utf-8").splitlines() == [
        "root:x:0:0:root:/tmp:/bin/sh",
        "spark:x:1000:100:spark:/tmp:/bin/sh",
    ]
    assert file.stat().st_mode & 0o777 == 0o644
    GIVEN.write_users(paths)
    assert GIVEN.users_file(paths) is None
