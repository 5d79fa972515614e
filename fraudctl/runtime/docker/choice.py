"""Check whether the profile `docker` works here, for the first `up` of a stack with the profile `auto`."""

from collections.abc import Mapping

from fraudctl.config.model import Settings
from fraudctl.errors import RefusedError, UnreachableError
from fraudctl.runtime.docker.address import find_engine
from fraudctl.runtime.docker.engine import Engine


def docker_suits(settings: Settings, environ: Mapping[str, str]) -> tuple[bool, str]:
    """Return whether an engine answers that has the images or can fetch them, and the reason in one line."""
    try:
        engine = Engine(find_engine(environ))
    except (UnreachableError, RefusedError) as error:
        return False, f"auto: {error.message}"
    try:
        for image in (settings.docker.kafka_image, settings.docker.postgres_image):
            if engine.image_id(image) is None and (why := engine.can_fetch(image)):
                short = why if len(why) < 120 else why[:117] + "…"
                return False, f"auto: Docker answers, but has no {image} and cannot fetch it ({short})"
    finally:
        engine.close()
    return True, f"auto: Docker {engine.version} answers at {engine.address.host}"
