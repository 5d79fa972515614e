"""A service of compose.yaml in the form of the engine's API, and the facts by which two of them differ."""

import hashlib
import json
from typing import Any

from fraudctl.runtime.compose.model import Service
from fraudctl.runtime.docker.identity import Identity

Config = dict[str, Any]
_NANOSECONDS = 1_000_000_000


def engine_config(service: Service, identity: Identity) -> Config:
    """Return the body of `POST /containers/create`, without the labels."""
    config: Config = {
        "Image": service.image,
        "Env": [f"{name}={value}" for name, value in service.environment],
        "ExposedPorts": {f"{port.target}/tcp": {} for port in service.ports},
        "StopTimeout": round(service.stop_seconds),
        "HostConfig": _host_config(service, identity),
    }
    if service.entrypoint is not None:
        config["Entrypoint"] = list(service.entrypoint)
    if service.command is not None:
        config["Cmd"] = list(service.command)
    if service.user is not None:
        config["User"] = service.user
    if service.healthcheck is not None:
        check = service.healthcheck
        config["Healthcheck"] = {
            "Test": list(check.test),
            "Interval": round(check.interval * _NANOSECONDS),
            "Timeout": round(check.timeout * _NANOSECONDS),
            "Retries": check.retries,
            "StartPeriod": round(check.start_period * _NANOSECONDS),
        }
    if not service.isolated:
        aliases = [identity.container(service.name), service.name]
        config["NetworkingConfig"] = {"EndpointsConfig": {identity.network: {"Aliases": aliases}}}
    return config


def _host_config(service: Service, identity: Identity) -> Config:
    host: Config = {
        "NetworkMode": "none" if service.isolated else identity.network,
        "RestartPolicy": {"Name": "no"},
        "ReadonlyRootfs": service.read_only,
        "CapAdd": list(service.cap_add),
        "CapDrop": list(service.cap_drop),
        "SecurityOpt": list(service.security_opt),
        "Tmpfs": dict(service.tmpfs),
        "PortBindings": {
            f"{port.target}/tcp": [{"HostIp": port.address, "HostPort": str(port.published)}]
            for port in service.ports
        },
        "Mounts": [
            {
                "Type": mount.kind,
                "Source": identity.volume(mount.source) if mount.kind == "volume" else mount.source,
                "Target": mount.target,
                "ReadOnly": mount.read_only,
            }
            for mount in service.mounts
        ],
    }
    if service.memory_bytes is not None:
        host["Memory"] = service.memory_bytes
    if service.shm_bytes is not None:
        host["ShmSize"] = service.shm_bytes
    if service.pids_limit is not None:
        host["PidsLimit"] = service.pids_limit
    if service.logging is not None:
        host["LogConfig"] = {"Type": service.logging.driver, "Config": dict(service.logging.options)}
    return host


def config_hash(config: Config) -> str:
    """Return a hash that changes when anything of the container's description does."""
    return hashlib.sha256(json.dumps(config, sort_keys=True).encode()).hexdigest()


def facts(config: Config) -> dict[str, str]:
    """Return what can be compared with a container that somebody else created: fact to value."""
    host = config["HostConfig"]
    found = {"image": str(config["Image"]), "memory limit": str(host.get("Memory", 0))}
    found |= {f"variable {name}": value for name, _, value in (each.partition("=") for each in config["Env"])}
    for name, key in (("entry point", "Entrypoint"), ("command", "Cmd")):
        if config.get(key) is not None:
            found[name] = json.dumps(config[key])
    for port, bindings in host["PortBindings"].items():
        found[f"port {port}"] = f"{bindings[0]['HostIp']}:{bindings[0]['HostPort']}"
    found |= {f"mount {mount['Target']}": str(mount["Source"]) for mount in host["Mounts"]}
    return found


def differences(wanted: dict[str, str], actual: dict[str, str]) -> tuple[str, ...]:
    """Return the names of wanted facts that differ; what a container has beyond them does not count."""
    return tuple(name for name, value in wanted.items() if actual.get(name) != value)
