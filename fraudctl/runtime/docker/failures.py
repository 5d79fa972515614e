"""Translation of what the engine and the SDK raise into errors that a user can act on."""

import errno
import re
from collections.abc import Iterator
from contextlib import contextmanager

import docker.errors
import requests.exceptions

from fraudctl.errors import FraudctlError, NotReadyError, RefusedError, UnreachableError
from fraudctl.runtime.docker.address import INSTEAD, EngineAddress

# The engine tells these apart by text only: all of them arrive as a plain "500".
_PORT = re.compile(r"(?:127\.0\.0\.1|0\.0\.0\.0|\[::\]):(\d+)")
_PORT_TAKEN = ("address already in use", "port is already allocated", "ports are not available")
_NO_SPACE = ("no space left on device", "disk quota exceeded")
_UNAUTHORISED = ("unauthorized", "denied", "authentication required")


@contextmanager
def translated(address: EngineAddress, doing: str) -> Iterator[None]:
    """Run calls of the SDK, and translate whatever they raise; `doing` completes "while …".

    Raises:
        FraudctlError: an error of the class that fits.
    """
    try:
        yield
    except docker.errors.APIError as error:
        raise of_engine(str(error.explanation or error), error.status_code, doing) from error
    except (docker.errors.DockerException, requests.exceptions.RequestException, OSError) as error:
        raise gone(address, error, doing) from error


def of_engine(text: str, status: int | None, doing: str) -> FraudctlError:
    """Return the error for an engine that answered, and refused."""
    lowered = text.lower()
    if any(words in lowered for words in _NO_SPACE):
        return RefusedError(
            f"the Docker engine has no room left (while {doing})",
            detail=text,
            hint="`docker system df` shows what takes it, `docker system prune` frees what nobody uses",
        )
    if any(words in lowered for words in _PORT_TAKEN):
        port = _PORT.search(text)
        return RefusedError(
            f"a port is taken: {port[1] if port else 'see below'} (while {doing})",
            detail=text,
            hint="stop what listens there (`ss -ltnp`, `docker ps`), or use `fraudctl up --any-port`",
        )
    if status == 409:
        return RefusedError(
            f"the Docker engine refuses because of a conflict (while {doing})",
            detail=text,
            hint="look at `docker ps -a`; another command may be at work on the same names",
        )
    if status == 400:
        return RefusedError(
            f"the Docker engine does not accept what it is asked (while {doing})",
            detail=text,
            hint="an older engine may not know an option of compose.yaml; `docker version` tells which it is",
        )
    return NotReadyError(
        f"the Docker engine failed (while {doing})",
        detail=text,
        hint="its own log says more (`journalctl -u docker`)",
    )


def of_pull(image: str, text: str, setting: str) -> FraudctlError:
    """Return the error for an image that is not here and cannot be fetched."""
    lowered = text.lower()
    if any(words in lowered for words in _NO_SPACE):
        return of_engine(text, None, f"fetching {image}")
    if "manifest unknown" in lowered or "not found" in lowered:
        hint = f"correct {setting}; `docker pull {image}` must work"
    elif any(words in lowered for words in _UNAUTHORISED):
        hint = f"correct {setting}, or sign in with `docker login`"
    else:
        hint = (
            f"check the engine's network; without one, bring the image with `docker load`, or set "
            f"{setting} to a mirror, {INSTEAD}"
        )
    return UnreachableError(
        f"the image {image} is not on this machine and cannot be fetched", detail=text, hint=hint
    )


def unreachable(address: EngineAddress, error: Exception) -> UnreachableError:
    """Return the error for an engine that did not answer the first call: why, and what to do."""
    cause = _system_error(error)
    where = f"{address.host} (from {address.source})"
    if isinstance(cause, FileNotFoundError):
        return UnreachableError(
            f"the Docker engine's socket is missing: {where}",
            detail=str(cause),
            hint=f"start Docker, or correct DOCKER_HOST or the context, {INSTEAD}",
        )
    if isinstance(cause, PermissionError):
        return UnreachableError(
            f"this user may not talk to the Docker engine at {where}",
            detail=str(cause),
            hint="join the group of the socket (`sudo usermod -aG docker $USER`, then sign in again), or use "
            f"rootless Docker, {INSTEAD}",
        )
    if isinstance(cause, ConnectionRefusedError) or (cause and cause.errno == errno.ECONNREFUSED):
        return UnreachableError(
            f"the Docker engine does not run: nobody listens at {where}",
            detail=str(cause),
            hint=f"start it (`sudo systemctl start docker`, or Docker Desktop), {INSTEAD}",
        )
    return UnreachableError(
        f"no Docker engine answers at {where}",
        detail=str(error),
        hint=f"correct or unset DOCKER_HOST, or choose another context, {INSTEAD}",
    )


def gone(address: EngineAddress, error: Exception, doing: str) -> FraudctlError:
    """Return the error for an engine that had answered before, and does not any more."""
    if isinstance(error, requests.exceptions.Timeout):
        return NotReadyError(
            f"the Docker engine did not answer in time (while {doing})",
            detail=f"{address.host}: {error}",
            hint="try again; if it stays so, restart the engine",
        )
    return UnreachableError(
        f"the Docker engine has gone away (while {doing})",
        detail=f"{address.host}: {error}",
        hint="start it again, then run `fraudctl up`: it goes on from what is there",
    )


def _system_error(error: BaseException | None) -> OSError | None:
    """Return the operating system's own error inside what the SDK and requests wrapped around it."""
    seen: set[int] = set()
    queue: list[object] = [error]
    while queue:
        each = queue.pop(0)
        if not isinstance(each, BaseException) or id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, OSError) and each.errno is not None:
            return each
        queue += [*each.args, getattr(each, "reason", None), each.__cause__, each.__context__]
    return None
