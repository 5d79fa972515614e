"""Placement of the detector's driver: as a process of this machine, or in a container beside the stack."""

import shlex
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from fraudctl import assets, failpoints
from fraudctl.clock import Deadline
from fraudctl.config.endpoints import Endpoints
from fraudctl.config.job import DetectorJob
from fraudctl.config.lane import Lane
from fraudctl.config.model import Settings
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import Observe
from fraudctl.runtime import stack
from fraudctl.runtime.jvm import jars, spark_submit
from fraudctl.runtime.jvm.class_archive import ClassArchive, class_archive
from fraudctl.runtime.jvm.compile_scala import ensure_jvm_code
from fraudctl.runtime.jvm.java import Java, find_java
from fraudctl.runtime.jvm.spark_submit import SparkSubmit

if TYPE_CHECKING:
    from fraudctl.runtime.docker.detector.container import DetectorContainer


# Names that only the stack's own network knows.
CLUSTER_HOSTS = ("spark-master", "spark-worker")


@dataclass(frozen=True)
class Place:
    """The command line and environment of the process that is started and supervised on this machine.

    With a container, that process is its shim, and `submit` runs inside the container. `prepare` writes the
    files that the run needs, and is called last before the start.
    """

    submit: SparkSubmit
    argv: tuple[str, ...]
    environment: dict[str, str]
    prepare: Callable[[], None]
    archive: ClassArchive | None = None  # of the classes that a driver on this machine loads


@dataclass(frozen=True)
class Where:
    """The inputs of a placement; `deadline` limits downloads and the building of images."""

    settings: Settings
    paths: StackPaths
    lane: Lane
    environ: Mapping[str, str]
    deadline: Deadline
    observe: Observe


@dataclass(frozen=True)
class _Brought:
    """The verified jars for the driver; the jars in `local_fs` are used with a local master only."""

    jars: tuple[Path, ...]
    local_fs: tuple[Path, ...]

    @property
    def folders(self) -> tuple[Path, ...]:
        return tuple(dict.fromkeys(jar.parent for jar in (*self.jars, *self.local_fs)))


def seen_from(settings: Settings, endpoints: Endpoints) -> Endpoints:
    """Return the addresses of the services as the driver sees them."""
    if settings.spark.submit == "local":
        return endpoints
    from fraudctl.runtime.docker.detector.container import BROKER, DATABASE, PASSWORD

    host, port = DATABASE
    postgres = replace(endpoints.postgres, host=host, port=port)
    return Endpoints(BROKER, postgres, writer_password_file=Path(PASSWORD))


def place_detector(where: Where, job: DetectorJob, endpoints: Endpoints) -> Place:
    """Download what is missing (jars, an image, packages), and build the command line; start nothing.

    Args:
        where: the settings, paths and run target that decide the placement.
        job: the job that the detector will run.
        endpoints: the addresses of the services as this machine sees them.

    Raises:
        UnreachableError: a download failed.
        RefusedError: the stack has no container engine, or the image cannot run the detector.
    """
    check_place(where.settings)
    java = find_java(where.paths, where.environ)
    connector = jars.ensure_jars("connector", java, where.paths, where.deadline, where.observe)
    code = ensure_jvm_code(java, where.paths, where.deadline, where.observe)
    local_fs = jars.ensure_jars("local-fs", java, where.paths, where.deadline, where.observe)
    brought = _Brought((code, *jars.beyond_spark(connector)), local_fs)
    if where.settings.spark.submit == "container":
        return _in_container(where, job, endpoints, brought)
    interior = spark_submit.on_this_machine(java.home)
    archive = _class_archive(where, java, brought)
    own = shlex.split(where.settings.spark.java_options)
    options = (*(archive.flags(own) if archive else ()), *java.options)
    line = _submit(where, interior, options, brought)
    environment = spark_submit.child_environment(
        line, where.environ, yarn=where.settings.spark.master == "yarn"
    )
    return Place(line, line.argv, environment, lambda: None, archive)


def check_place(settings: Settings) -> None:
    """Make sure that a driver on this machine can reach its cluster, before anything is fetched or started.

    Raises:
        RefusedError: the cluster can be reached from a container only.
    """
    spark = settings.spark
    if spark.submit == "container":
        return
    if spark.is_cluster and urlsplit(spark.master).hostname in CLUSTER_HOSTS:
        raise RefusedError(
            f"the cluster at {spark.master} can only be reached from a container",
            hint="set spark.submit to container (FRAUDCTL_SPARK__SUBMIT=container)",
        )


def _class_archive(where: Where, java: Java, brought: "_Brought") -> ClassArchive | None:
    """Return the archive for a driver on this machine; None if the class path lacks fraudctl's own code."""
    extra = spark_submit.extra_class_path(where.settings.spark, brought.jars, brought.local_fs)
    if not extra:
        return None
    own = sorted((spark_submit.spark_home() / "jars").glob("*.jar"))
    class_list = where.lane.file(where.paths, "classes.txt")
    return class_archive(java, [*map(Path, extra), *own], where.paths, class_list)


def _in_container(
    where: Where,
    job: DetectorJob,
    endpoints: Endpoints,
    brought: "_Brought",
) -> Place:
    container = _container(where)
    interior, shown = container.interior(where.deadline, where.observe)
    line = _submit(where, interior, (), brought)
    failpoint = where.environ.get(failpoints.VARIABLE)
    inside = replace(
        line, environment=line.environment | ({failpoints.VARIABLE: failpoint} if failpoint else {})
    )
    password = endpoints.writer.password_file
    order = container.order(inside, password, (*shown, *brought.folders))
    order_file = where.lane.file(where.paths, "container.json")

    def prepare() -> None:
        container.hand_over(job, password)
        order.write(order_file)

    job_file = str(where.lane.file(where.paths, "job.json"))
    argv = (
        *(sys.executable, "-m", "fraudctl.runtime.docker.detector.shim"),
        *(str(order_file), str(assets.detector_script()), job_file),
    )
    return Place(line, argv, dict(where.environ), prepare)


def _container(where: Where) -> "DetectorContainer":
    settings, paths = where.settings, where.paths
    profile = stack.choose_profile(settings, paths)[0]
    if profile != "docker":
        raise RefusedError(
            f"spark.submit is container, but stack {paths.stack!r} has the profile {profile}",
            hint="bring it up with `--profile docker`, or set spark.submit to local",
        )
    from fraudctl.runtime.docker.driver import DockerDriver

    driver = stack.driver_of(profile, settings, paths, where.environ)
    assert isinstance(driver, DockerDriver)
    return driver.detector(where.lane)


def _submit(
    where: Where,
    interior: spark_submit.Interior,
    java_options: Sequence[str],
    brought: "_Brought",
) -> SparkSubmit:
    spark = where.settings.spark
    return spark_submit.build(
        job_file=where.lane.file(where.paths, "job.json"),
        spark=spark,
        interior=interior,
        java_options=[*java_options, *shlex.split(spark.java_options)],
        jars=brought.jars,
        local_fs_jars=brought.local_fs,
        log4j_file=assets.configs() / "log4j2-detector.properties",
        scratch=where.lane.file(where.paths, "spark"),
    )
