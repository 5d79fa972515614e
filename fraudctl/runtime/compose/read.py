"""A strict reader of compose.yaml: what fraudctl would not do is refused with its line, never ignored."""

import os
import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, cast, get_args

import yaml

from fraudctl.errors import ConfigError
from fraudctl.runtime.compose.model import (
    ComposeFile,
    Condition,
    Healthcheck,
    Logging,
    Mount,
    Need,
    Port,
    Secrets,
    Service,
)
from fraudctl.runtime.compose.nodes import Reading

LOOPBACK = "127.0.0.1"
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]*")
_PORT = re.compile(r"(?P<address>[^:]+):(?P<published>[0-9]+):(?P<target>[0-9]+)")
_FILE_KEYS = ("name", "services", "volumes", "x-secrets")
_FOLDER = "x-stack-folder"
_HEALTH_KEYS = ("test", "interval", "timeout", "retries", "start_period")


def load_compose(file: Path, variables: Mapping[str, str]) -> ComposeFile:
    """Read and check a compose file.

    Raises:
        ConfigError: it cannot be read, or holds something that fraudctl does not run.
    """
    try:
        text = file.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file} cannot be read", detail=str(error)) from error
    return read_compose(text, file, variables)


def read_compose(text: str, file: Path, variables: Mapping[str, str]) -> ComposeFile:
    """Read and check the text of a compose file.

    `file` is used in messages, and relative paths start in its folder.

    Raises:
        ConfigError: the text holds something that fraudctl does not run.
    """
    try:
        root = yaml.compose(text, Loader=yaml.SafeLoader)
    except yaml.YAMLError as error:
        raise ConfigError(f"{file} is not valid YAML", detail=str(error)) from error
    if root is None:
        raise ConfigError(f"{file} is empty")
    reading = Reading(file, variables)
    keys = reading.mapping(root, _FILE_KEYS)
    for needed in ("name", "services"):
        if needed not in keys:
            raise reading.error(root, f"the key {needed!r} is missing")
    folders = _volumes(reading, keys.get("volumes"))
    volumes = tuple(folders)
    nodes = reading.mapping(keys["services"])
    services = tuple(_service(reading, name, node, volumes) for name, node in nodes.items())
    for service in services:
        _check_needs(reading, service, services, nodes[service.name])
    _refuse_rings(reading, services, keys["services"])
    return ComposeFile(
        file=file,
        name=_named(reading, keys["name"]),
        services=services,
        volumes=volumes,
        secrets=_secrets(reading, keys.get("x-secrets"), services),
        stack_folders=tuple((name, folder) for name, folder in folders.items() if folder),
    )


def _named(reading: Reading, node: yaml.Node) -> str:
    name = reading.text(node)
    if not _NAME.fullmatch(name):
        raise reading.error(node, f"{name!r} is not a name: use a-z, 0-9, - and _")
    return name


def _volumes(reading: Reading, node: yaml.Node | None) -> dict[str, str]:
    """Return the volumes, each with the folder of the stack that it lies in (empty: the engine keeps it)."""
    if node is None:
        return {}
    found: dict[str, str] = {}
    for name, options in reading.mapping(node).items():
        found[name] = ""
        if options.tag.endswith(":null"):
            continue
        if not isinstance(options, yaml.MappingNode) or [key.value for key, _ in options.value] != [_FOLDER]:
            raise reading.error(options, f"the volume {name!r} has options, which fraudctl does not set")
        found[name] = reading.one_of(options.value[0][1], ("data",))
    return found


def _secrets(reading: Reading, node: yaml.Node | None, services: tuple[Service, ...]) -> Secrets | None:
    if node is None:
        return None
    keys = reading.mapping(node, ("service", "folder", "files"))
    for needed in ("service", "folder", "files"):
        if needed not in keys:
            raise reading.error(node, f"the key {needed!r} is missing")
    service = reading.one_of(keys["service"], tuple(each.name for each in services))
    return Secrets(service, reading.text(keys["folder"]), reading.texts(keys["files"]))


def _service(reading: Reading, name: str, node: yaml.Node, volumes: tuple[str, ...]) -> Service:
    if not _NAME.fullmatch(name):
        raise reading.error(node, f"{name!r} is not a name for a service: use a-z, 0-9, - and _")
    keys = reading.mapping(node, _SERVICE_KEYS)
    if "image" not in keys:
        raise reading.error(node, f"the service {name!r} names no image")
    values: dict[str, Any] = {}
    for key, value in keys.items():
        field, parse = _SERVICE_KEYS[key]
        values[field] = parse(reading, value)
    for mount, item in zip(values.get("mounts", ()), _items(reading, keys.get("volumes")), strict=True):
        if mount.kind == "volume" and mount.source not in volumes:
            raise reading.error(item, f"the volume {mount.source!r} is not declared below `volumes`")
    return Service(name=name, **values)


def _items(reading: Reading, node: yaml.Node | None) -> list[yaml.Node]:
    return [] if node is None else reading.items(node)


def _image(reading: Reading, node: yaml.Node) -> str:
    image = reading.text(node)
    if not image or re.search(r"\s", image):
        raise reading.error(node, f"{image!r} is not the name of an image")
    return image


def _port(reading: Reading, node: yaml.Node) -> Port:
    text = reading.text(node)
    found = _PORT.fullmatch(text)
    if found is None:
        raise reading.error(node, f"{text!r} is not written as {LOOPBACK}:PUBLISHED:TARGET")
    if found["address"] != LOOPBACK:
        raise reading.error(node, f"{text!r} would be reachable from outside: publish on {LOOPBACK} only")
    published, target = int(found["published"]), int(found["target"])
    if not (0 < published < 65536 and 0 < target < 65536):
        raise reading.error(node, f"{text!r} holds a port that does not exist")
    return Port(LOOPBACK, published, target)


def _mount(reading: Reading, node: yaml.Node) -> Mount:
    text = reading.text(node)
    source, target, mode = [*text.split(":"), "", ""][:3]
    if text.count(":") not in (1, 2) or not target.startswith("/") or mode not in ("", "ro", "rw"):
        raise reading.error(node, f"{text!r} is not written as SOURCE:/TARGET or SOURCE:/TARGET:ro")
    if source.startswith(("/", "./", "../")):
        place = os.path.realpath(reading.file.parent / source)
        return Mount("bind", place, target, mode == "ro")
    return Mount("volume", source, target, mode == "ro")


def _tmpfs(reading: Reading, node: yaml.Node) -> tuple[str, str]:
    folder, _, options = reading.text(node).partition(":")
    if not folder.startswith("/"):
        raise reading.error(node, f"{folder!r} is not an absolute path")
    return folder, options


def _healthcheck(reading: Reading, node: yaml.Node) -> Healthcheck:
    keys = reading.mapping(node, _HEALTH_KEYS)
    for needed in _HEALTH_KEYS:
        if needed not in keys:
            raise reading.error(node, f"the key {needed!r} is missing")
    test = reading.texts(keys["test"])
    if len(test) < 2 or test[0] not in ("CMD", "CMD-SHELL"):
        raise reading.error(keys["test"], "a test begins with CMD or CMD-SHELL")
    return Healthcheck(
        test=test,
        interval=reading.seconds(keys["interval"]),
        timeout=reading.seconds(keys["timeout"]),
        retries=reading.number(keys["retries"]),
        start_period=reading.seconds(keys["start_period"]),
    )


def _needs(reading: Reading, node: yaml.Node) -> tuple[Need, ...]:
    needs = []
    for name, value in reading.mapping(node).items():
        keys = reading.mapping(value, ("condition",))
        if "condition" not in keys:
            raise reading.error(value, "the key 'condition' is missing")
        condition = reading.one_of(keys["condition"], get_args(Condition))
        needs.append(Need(name, cast(Condition, condition)))
    return tuple(needs)


def _logging(reading: Reading, node: yaml.Node) -> Logging:
    keys = reading.mapping(node, ("driver", "options"))
    if "driver" not in keys:
        raise reading.error(node, "the key 'driver' is missing")
    options = reading.pairs(keys["options"]) if "options" in keys else ()
    return Logging(reading.text(keys["driver"]), options)


def _no_network(reading: Reading, node: yaml.Node) -> bool:
    reading.one_of(node, ("none",))
    return True


def _each(parse: Callable[[Reading, yaml.Node], object]) -> Callable[[Reading, yaml.Node], object]:
    return lambda reading, node: tuple(parse(reading, item) for item in reading.items(node))


# Key of the specification to the field it fills and the function that reads it.
_SERVICE_KEYS: dict[str, tuple[str, Callable[[Reading, yaml.Node], object]]] = {
    "image": ("image", _image),
    "entrypoint": ("entrypoint", Reading.texts),
    "command": ("command", Reading.texts),
    "user": ("user", Reading.text),
    "environment": ("environment", Reading.pairs),
    "volumes": ("mounts", _each(_mount)),
    "ports": ("ports", _each(_port)),
    "healthcheck": ("healthcheck", _healthcheck),
    "depends_on": ("needs", _needs),
    "profiles": ("profiles", Reading.texts),
    "network_mode": ("isolated", _no_network),
    "read_only": ("read_only", Reading.flag),
    "tmpfs": ("tmpfs", _each(_tmpfs)),
    "cap_add": ("cap_add", Reading.texts),
    "cap_drop": ("cap_drop", Reading.texts),
    "security_opt": ("security_opt", Reading.texts),
    "mem_limit": ("memory_bytes", Reading.size),
    "shm_size": ("shm_bytes", Reading.size),
    "pids_limit": ("pids_limit", Reading.number),
    "stop_grace_period": ("stop_seconds", Reading.seconds),
    "logging": ("logging", _logging),
}


def _check_needs(reading: Reading, service: Service, services: tuple[Service, ...], node: yaml.Node) -> None:
    known = {each.name: each for each in services}
    for need in service.needs:
        if need.service not in known:
            raise reading.error(node, f"{service.name!r} depends on {need.service!r}, which is not there")
        needed = known[need.service]
        if need.condition == "service_healthy" and needed.healthcheck is None:
            raise reading.error(node, f"{need.service!r} has no healthcheck, so it is never healthy")
        if needed.profiles and not set(needed.profiles) >= set(service.profiles or ("",)):
            raise reading.error(node, f"{service.name!r} depends on {need.service!r} of another profile")


def _refuse_rings(reading: Reading, services: tuple[Service, ...], node: yaml.Node) -> None:
    left = {service.name: {need.service for need in service.needs} for service in services}
    while left:
        free = {name for name, needs in left.items() if not needs & left.keys()}
        if not free:
            raise reading.error(node, f"{', '.join(sorted(left))} depend on each other in a ring")
        left = {name: needs for name, needs in left.items() if name not in free}
