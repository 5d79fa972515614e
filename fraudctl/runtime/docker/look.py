"""Inspection of the engine: everything that the planner needs to know, as plain values."""

import json
from collections.abc import Iterable
from datetime import datetime
from typing import Any

from fraudctl.runtime import ports as local_ports
from fraudctl.runtime.docker import identity as labels
from fraudctl.runtime.docker.engine import Engine
from fraudctl.runtime.docker.identity import Identity
from fraudctl.runtime.docker.observed import Container, Health, Holder, Network, Observed, Volume

# A port that is taken on one of these addresses is not free on 127.0.0.1 either.
_COVER_LOOPBACK = (local_ports.LOOPBACK, "0.0.0.0", "::", "")


def look(
    engine: Engine,
    identity: Identity,
    *,
    services: Iterable[str],
    images: Iterable[str],
    ports: Iterable[int],
) -> Observed:
    """Return what belongs to the stack on the engine, and what stands in its way."""
    ours = {"label": f"{labels.PROJECT}={identity.project}"}
    ids = {each["Id"] for each in engine.containers(ours)}
    for service in services:
        name = identity.container(service)
        ids |= {
            each["Id"] for each in engine.containers({"name": name}) if f"/{name}" in (each["Names"] or ())
        }
    containers = tuple(
        of_inspection(found) for found in map(engine.inspect, sorted(ids)) if found is not None
    )
    volumes = {each["Name"]: each for each in engine.volumes(ours)}
    # A volume with the right name and the wrong label can be found by its name only.
    volumes |= {
        each["Name"]: each
        for each in engine.volumes({"name": f"{identity.project}_"})
        if each["Name"].startswith(f"{identity.project}_")
    }
    return Observed(
        images={image: engine.image_id(image) for image in dict.fromkeys(images)},
        containers=containers,
        volumes=tuple(_volume(each) for each in volumes.values()),
        networks=tuple(_network(each) for each in engine.networks(identity.network)),
        ports=taken_ports(engine, identity, ports),
    )


def taken_ports(engine: Engine, identity: Identity, ports: Iterable[int]) -> dict[int, Holder]:
    """Return those of the ports that others have, and who; the stack's own containers do not count."""
    ours: set[int] = set()
    others: dict[int, Holder] = {}
    for each in engine.containers(stopped=False):
        mine = (each.get("Labels") or {}).get(labels.PROJECT) == identity.project
        for published in each.get("Ports") or ():
            port = int(published.get("PublicPort") or 0)
            if mine:
                ours.add(port)
            elif published.get("IP", "") in _COVER_LOOPBACK:
                name = (each["Names"] or [each["Id"]])[0].lstrip("/")
                others[port] = Holder("container", f"the container {name}", f"of the image {each['Image']}")
    found: dict[int, Holder] = {}
    for port in ports:
        if port in others:
            found[port] = others[port]
        elif port not in ours and not local_ports.is_free(port):
            process = local_ports.holder(port)
            found[port] = Holder("process", process.described, process.command)
    return found


def of_inspection(found: dict[str, Any]) -> Container:
    """Return `GET /containers/NAME/json` as a plain value."""
    config, state = found["Config"], found["State"]
    tags = config.get("Labels") or {}
    health: Health = (state.get("Health") or {}).get("Status") or "none"
    return Container(
        id=found["Id"],
        name=found["Name"].lstrip("/"),
        state=state["Status"],
        project=tags.get(labels.PROJECT, ""),
        service=tags.get(labels.SERVICE, ""),
        health=health,
        exit_code=int(state.get("ExitCode") or 0),
        image_id=found.get("Image", ""),
        config_hash=tags.get(labels.CONFIG_HASH),
        folder=tags.get(labels.FOLDER),
        facts=_facts(found),
        network_ids=frozenset(
            network.get("NetworkID", "")
            for network in ((found.get("NetworkSettings") or {}).get("Networks") or {}).values()
        ),
        started_at=_seconds(state.get("StartedAt", "")),
    )


def _facts(found: dict[str, Any]) -> dict[str, str]:
    """Return for a container the facts that `container.facts` returns for a description."""
    config, host = found["Config"], found["HostConfig"]
    facts = {"image": str(config["Image"]), "memory limit": str(host.get("Memory") or 0)}
    for each in config.get("Env") or ():
        name, _, value = each.partition("=")
        facts[f"variable {name}"] = value
    for name, key in (("entry point", "Entrypoint"), ("command", "Cmd")):
        if config.get(key) is not None:
            facts[name] = json.dumps(config[key])
    for port, bindings in (host.get("PortBindings") or {}).items():
        if bindings:
            facts[f"port {port}"] = f"{bindings[0].get('HostIp', '')}:{bindings[0].get('HostPort', '')}"
    for mount in found.get("Mounts") or ():
        facts[f"mount {mount['Destination']}"] = str(mount.get("Name") or mount.get("Source"))
    return facts


def _volume(found: dict[str, Any]) -> Volume:
    tags = found.get("Labels") or {}
    return Volume(found["Name"], tags.get(labels.PROJECT, ""), tags.get(labels.FOLDER))


def _network(found: dict[str, Any]) -> Network:
    tags = found.get("Labels") or {}
    return Network(found["Id"], found["Name"], tags.get(labels.PROJECT, ""), tags.get(labels.FOLDER))


def _seconds(text: str) -> float | None:
    """Return the seconds since 1970 of an RFC 3339 time with nanoseconds, which Python does not read."""
    whole, _, fraction = text.rstrip("Z").partition(".")
    if not whole or whole.startswith("0001"):
        return None
    return datetime.fromisoformat(f"{whole}.{fraction[:6] or '0'}+00:00").timestamp()
