"""The detector's container in the stack's network: what the image must have, and what is mounted."""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from fraudctl import assets
from fraudctl.clock import Deadline, StopFlag
from fraudctl.config.job import DetectorJob
from fraudctl.config.lane import Lane
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import Observe, Progress
from fraudctl.runtime.compose.model import ComposeFile
from fraudctl.runtime.docker.container import config_hash, engine_config
from fraudctl.runtime.docker.detector.packages import NEEDED, ensure_packages
from fraudctl.runtime.docker.detector.spark_user import SparkUser
from fraudctl.runtime.docker.detector.spec import Order
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.docker.identity import Identity
from fraudctl.runtime.files import make_folder, write_whole
from fraudctl.runtime.jvm.spark_submit import SCALA, Interior, SparkSubmit, spark_version

SERVICE = "detector"
# Addresses of the stack's services inside its network.
BROKER = "kafka:29092"
DATABASE = ("postgres", 5432)
PASSWORD = "/run/secrets/writer.password"
_MINIMUM = (3, 11)
_ASK_SECONDS = 60.0
_QUESTION = f"""\
import importlib.util, json, os, pathlib, platform, sys
spark_home = os.environ.get("SPARK_HOME", "/opt/spark")
print(json.dumps({{
    "python": sys.version_info[:2], "program": sys.executable, "machine": platform.machine(),
    "spark_home": spark_home,
    "spark": [file.name for file in pathlib.Path(spark_home, "jars").glob("spark-core_*.jar")],
    "missing": [name for name in {sorted(NEEDED)!r} if importlib.util.find_spec(name) is None],
}}))
"""
# Takes the newest Python that is new enough; else any other, so that an error can name it.
_SHELL = """\
for python in python3.14 python3.13 python3.12 python3.11 python3; do
  if command -v "$python" >/dev/null; then exec "$python" -c "$1"; fi
done
echo '{"python": null}'
"""


@dataclass(frozen=True)
class Offer:
    """The contents of an image that matter to the detector."""

    python: tuple[int, int]
    program: str
    machine: str
    spark_home: str
    missing: tuple[str, ...]


@dataclass(frozen=True)
class DetectorContainer:
    """The container of one run of the detector, not started yet."""

    engine: Engine
    file: ComposeFile
    identity: Identity
    settings: Settings
    paths: StackPaths
    lane: Lane
    user: SparkUser

    @property
    def name(self) -> str:
        """Return the container's name."""
        return self.identity.container(self.lane.name)

    def interior(self, deadline: Deadline, observe: Observe) -> tuple[Interior, tuple[Path, ...]]:
        """Return the driver's paths inside, and the folders of this machine to mount for them.

        Raises:
            RefusedError: the image cannot run the detector.
            UnreachableError: the image or a package cannot be fetched.
        """
        offer = self._offer(observe)
        shown = [assets.PACKAGE, *_beside_package()]
        python_path = [str(assets.PACKAGE.parent)]
        if offer.missing:
            packages = ensure_packages(offer.python, offer.machine, self.paths, deadline, observe)
            shown.append(packages)
            python_path.append(str(packages))
        interior = Interior(
            spark_home=offer.spark_home,
            python=offer.program,
            java_home=None,
            host=self.name,
            python_path=tuple(python_path),
        )
        return interior, tuple(shown)

    def order(self, submit: SparkSubmit, password: Path, shown: Sequence[Path]) -> Order:
        """Return the container spec, with exactly the folders that the run needs."""
        service = self.file.service(SERVICE)
        config = engine_config(service, self.identity)
        config |= {
            "Cmd": [
                *(
                    submit.environment["PYSPARK_DRIVER_PYTHON"],
                    "-u",
                    str(Path(__file__).with_name("entrypoint.py")),
                ),
                *(str(assets.detector_script()), *submit.argv),
            ],
            "Env": [*config["Env"], *(f"{name}={value}" for name, value in submit.environment.items())],
            **dict.fromkeys(("OpenStdin", "StdinOnce", "AttachStdin", "AttachStdout", "AttachStderr"), True),
            "WorkingDir": str(self.paths.run),
            "NetworkingConfig": {"EndpointsConfig": {self.identity.network: {"Aliases": [self.name]}}},
        }
        config["HostConfig"]["Mounts"] += [
            _bind(self.paths.run, read_only=False),
            _bind(self._shown(password), target=PASSWORD),
            *(_bind(folder) for folder in shown),
        ]
        (volume,) = (mount.source for mount in service.mounts if mount.kind == "volume")
        place = self.identity.volume_place(volume, self.file)
        image = self.engine.image_id(service.image) or ""
        return Order(
            engine=self.engine.address.host,
            engine_tls=self.engine.address.tls,
            name=self.name,
            config=config,
            labels=self.identity.container_labels(service, config_hash(config), image),
            volume=self.identity.volume(volume),
            volume_labels=self.identity.volume_labels(volume),
            volume_place=str(place),
        )

    def hand_over(self, job: DetectorJob, password: Path) -> None:
        """Let the container's user write where it has to, and read its password; nothing else."""
        self.user.write_users(self.paths)
        scratch = self.lane.file(self.paths, "spark")
        for file in (job.progress_file, job.outcome_file):
            file.touch()
        place = self._shown(password)
        if place != password:
            make_folder(place.parent, mode=0o711)
            write_whole(place, password.read_text(encoding="utf-8"), mode=0o400)
        if self.user.given:
            for file in (job.progress_file, job.outcome_file, scratch, place):
                os.chown(file, self.user.uid, self.user.gid)
            for folder, _, names in os.walk(job.checkpoint):
                for each in (folder, *(f"{folder}/{name}" for name in names)):
                    os.chown(each, self.user.uid, self.user.gid)

    def _shown(self, password: Path) -> Path:
        """Return the user's own password file, or a copy that belongs to the container's user."""
        return self.paths.secrets / "spark" / "writer.password" if self.user.given else password

    def _offer(self, observe: Observe) -> Offer:
        image = self.settings.docker.spark_image
        if self.engine.image_id(image) is None:
            self._pull(image, observe)
        image_id = self.engine.image_id(image) or image
        asked = hashlib.sha256(f"{image_id} {_QUESTION}".encode()).hexdigest()[:32]
        note = self.paths.cache / "images" / f"{asked}.json"
        if not note.is_file():
            answer = self._ask(image)
            make_folder(note.parent)
            write_whole(note, json.dumps(answer) + "\n", mode=0o644)
        answer = json.loads(note.read_text(encoding="utf-8"))
        return _offer(image, answer)

    def _pull(self, image: str, observe: Observe) -> None:
        observe(Progress("image", "begun", f"fetching {image}"))
        deadline = Deadline(self.settings.docker.pull_seconds)
        self.engine.pull(image, "docker.spark_image", lambda _done, _total: None, deadline, StopFlag())
        observe(Progress("image", "done", f"{image} fetched"))

    def _ask(self, image: str) -> dict[str, Any]:
        name = f"{self.identity.project}-question-{os.getpid()}"
        config = {
            "Image": image,
            "Entrypoint": ["sh", "-c", _SHELL, "sh", _QUESTION],
            "Cmd": [],
            "HostConfig": {"NetworkMode": "none"},
        }
        self.engine.create(config, self.identity.owned, name)
        try:
            self.engine.start(name)
            self.engine.wait(name, _ASK_SECONDS)
            said = self.engine.log(name, 20)
        finally:
            self.engine.remove(name)
        try:
            found: dict[str, Any] = json.loads(said[-1])
        except (ValueError, IndexError) as error:
            raise RefusedError(
                f"the image {image} does not say what it holds",
                detail="\n".join(said[-3:]),
                hint="docker.spark_image must be an image of Spark with a shell and Python",
            ) from error
        return found


def _offer(image: str, answer: dict[str, Any]) -> Offer:
    """Return what an image says about itself.

    Raises:
        RefusedError: its Python is too old, or there is none; its Spark or Scala is another.
    """
    python = tuple(answer["python"] or ())
    if python < _MINIMUM:
        has = f"Python {python[0]}.{python[1]}" if python else "no Python"
        raise RefusedError(
            f"the image {image} has {has}; the detector needs {_MINIMUM[0]}.{_MINIMUM[1]} or newer",
            hint=f"build one that has it: `docker build -t fraudctl-spark --build-arg SPARK_IMAGE={image} "
            f"{assets.compose_file().parent / 'spark'}`, then set docker.spark_image to fraudctl-spark",
        )
    _check_spark(image, answer["spark"])
    return Offer(
        (python[0], python[1]),
        str(answer["program"]),
        str(answer["machine"]),
        str(answer["spark_home"]),
        tuple(answer["missing"]),
    )


def _check_spark(image: str, jars: Sequence[str]) -> None:
    """Check that Spark's minor version and its Scala fit the connector and the JVM code.

    Raises:
        RefusedError: they do not.
    """
    minor = spark_version().rpartition(".")[0]
    if not any(name.startswith(f"spark-core_{SCALA}-{minor}.") for name in jars):
        raise RefusedError(
            f"the image {image} has {' and '.join(sorted(jars)) or 'no Spark'}",
            detail=f"the detector needs Spark {minor} for Scala {SCALA}",
            hint=f"let docker.spark_image name an image of Spark {spark_version()}",
        )


def _beside_package() -> tuple[Path, ...]:
    """Return configs/ and sql/ if they lie outside the package, as in a checkout."""
    folders = (assets.configs(), assets.sql())
    return tuple(each for each in folders if assets.PACKAGE not in each.parents)


def _bind(source: Path, target: str = "", *, read_only: bool = True) -> dict[str, Any]:
    return {"Type": "bind", "Source": str(source), "Target": target or str(source), "ReadOnly": read_only}
