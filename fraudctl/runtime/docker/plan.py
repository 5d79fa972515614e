"""Plan of the steps from what was found to what is wanted; no engine, no clock, no file is used."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Literal

from fraudctl.errors import RefusedError
from fraudctl.runtime.compose.model import ON_DEMAND, ComposeFile, Service
from fraudctl.runtime.docker.container import Config, config_hash, differences, engine_config, facts
from fraudctl.runtime.docker.identity import Identity
from fraudctl.runtime.docker.observed import Container, Observed

Action = Literal[
    "pull",
    "create network",
    "create volume",
    "create",
    "start",
    "unpause",
    "restart",
    "wait for",
    "remove",
    "remove network",
    "remove volume",
]


@dataclass(frozen=True)
class Step:
    """One step of a plan; `subject` is the name in the file, `name` the one on the engine."""

    action: Action
    subject: str
    name: str
    cause: str = ""

    @property
    def text(self) -> str:
        """Return the step in words."""
        return f"{self.action} {self.name}" + (f"  ({self.cause})" if self.cause else "")


@dataclass(frozen=True)
class Plan:
    """The steps in their order, and the engine's configuration of each service."""

    steps: tuple[Step, ...]
    configs: Mapping[str, Config] = field(default_factory=dict)

    @property
    def changes(self) -> tuple[Step, ...]:
        """Return the steps that change the engine; waiting does not."""
        return tuple(step for step in self.steps if step.action != "wait for")

    @property
    def text(self) -> str:
        """Return all steps in words, one per line."""
        return "\n".join(step.text for step in self.steps)


@dataclass(frozen=True)
class _Verdict:
    """The steps for one service."""

    remove: tuple[Step, ...] = ()
    create: Step | None = None
    start: Step | None = None
    wait: bool = True


def plan_up(file: ComposeFile, profiles: frozenset[str], identity: Identity, observed: Observed) -> Plan:
    """Return the steps after which every chosen service runs as the file says.

    Images come first, so that nothing is removed before its successor can be made. Services that are not
    chosen any more are removed, data never.

    Raises:
        RefusedError: a name, a volume or a port belongs to somebody else.
    """
    _refuse_strangers(file, profiles, identity, observed)
    services = file.chosen(profiles)
    configs = {service.name: engine_config(service, identity) for service in services}
    verdicts = {
        service.name: _verdict(service, configs[service.name], identity, observed) for service in services
    }
    _refuse_taken_ports([each for each in services if verdicts[each.name].start], observed)
    steps = _pulls(services, verdicts, observed)
    steps += [step for verdict in verdicts.values() for step in verdict.remove]
    steps += _dismissed(file, services, observed)
    if not any(network.name == identity.network for network in observed.networks):
        steps.append(Step("create network", "default", identity.network, "there is none"))
    steps += _new_volumes(services, identity, observed)
    steps += [verdict.create for verdict in verdicts.values() if verdict.create]
    return Plan(tuple(steps + _starts(services, verdicts, identity)), configs)


def plan_down(file: ComposeFile, identity: Identity, observed: Observed, *, volumes: bool) -> Plan:
    """Return the steps that remove everything of the stack but its data, with `volumes` also that.

    Raises:
        RefusedError: the project of that name is another stack's.
    """
    _refuse_other_folder(identity, observed)
    order = [service.name for service in reversed(file.chosen(_all_profiles(file)))]
    mine = [each for each in observed.containers if each.project == identity.project]
    mine.sort(key=lambda each: order.index(each.service) if each.service in order else -1)
    steps = [Step("remove", each.service or each.name, each.name) for each in mine]
    steps += [
        Step("remove network", "default", network.name)
        for network in observed.networks
        if network.project == identity.project
    ]
    if volumes:
        steps += [
            Step("remove volume", volume.name, volume.name)
            for volume in observed.volumes
            if volume.project == identity.project
        ]
    return Plan(tuple(steps))


def _all_profiles(file: ComposeFile) -> frozenset[str]:
    return frozenset(profile for service in file.services for profile in service.profiles)


def _verdict(service: Service, config: Config, identity: Identity, observed: Observed) -> _Verdict:
    name = identity.container(service.name)
    found = [
        each
        for each in observed.containers
        if each.project == identity.project and each.service == service.name
    ]
    surplus = tuple(
        Step("remove", service.name, each.name, "one of a kind is enough")
        for each in found
        if each.name != name
    )
    old = next((each for each in found if each.name == name), None)
    create = Step("create", service.name, name, "there is none")
    start = Step("start", service.name, name)
    if old is None:
        return _Verdict(surplus, create, start)
    cause = _why_anew(service, config, old, identity, observed)
    if cause:
        remove = Step("remove", service.name, name, cause)
        return _Verdict((*surplus, remove), Step("create", service.name, name), start)
    return _Verdict(surplus, None, _why_start(service, old, name), not _is_done(service, old))


def _is_done(service: Service, container: Container) -> bool:
    """Tell whether a service needs neither to be started nor to be waited for."""
    if _runs_once(service):
        return container.state == "exited" and container.exit_code == 0
    return container.state == "running" and container.health in ("healthy", "none")


def _runs_once(service: Service) -> bool:
    """Tell whether a service is a task that ends when it is done: it has neither ports nor a healthcheck."""
    return service.healthcheck is None and not service.ports


def _why_anew(
    service: Service, config: Config, old: Container, identity: Identity, observed: Observed
) -> str:
    """Return why the container must be replaced; empty if it can stay."""
    if old.state in ("dead", "removing"):
        return f"it is {old.state}"
    image_id = observed.images.get(service.image)
    if image_id is not None and old.image_id and image_id != old.image_id:
        return f"{service.image} is another image now"
    networks = {network.id for network in observed.networks if network.name == identity.network}
    if not service.isolated and not old.network_ids & networks:
        return "its network is gone"
    if old.config_hash == config_hash(config):
        return ""
    changed = differences(facts(config), dict(old.facts))
    if old.config_hash is None and not changed:
        return ""  # docker compose made it, from the same file and the same variables
    return f"changed: {', '.join(changed)}" if changed else "its description has changed"


def _why_start(service: Service, old: Container, name: str) -> Step | None:
    if _is_done(service, old):
        return None
    if old.state == "paused":
        return Step("unpause", service.name, name, "it is paused")
    if old.state == "running" and old.health == "unhealthy":
        return Step("restart", service.name, name, "it is unhealthy")
    if old.state in ("created", "exited"):
        code = f" (exit code {old.exit_code})" if old.exit_code else ""
        return Step("start", service.name, name, f"it is {old.state}{code}")
    return None  # it is still starting, or just restarting


def _pulls(services: Iterable[Service], verdicts: Mapping[str, _Verdict], observed: Observed) -> list[Step]:
    wanted = dict.fromkeys(service.image for service in services if verdicts[service.name].create)
    return [
        Step("pull", image, image, "the engine has none")
        for image in wanted
        if observed.images.get(image) is None
    ]


def _dismissed(file: ComposeFile, services: Iterable[Service], observed: Observed) -> list[Step]:
    """Return steps that remove services which are not chosen any more; unknown containers are left alone."""
    unwanted = {each.name for each in file.services if not ON_DEMAND & set(each.profiles)}
    unwanted -= {each.name for each in services}
    return [
        Step("remove", each.service, each.name, "its profile is not chosen")
        for each in observed.containers
        if each.service in unwanted
    ]


def _new_volumes(services: Iterable[Service], identity: Identity, observed: Observed) -> list[Step]:
    there = {volume.name for volume in observed.volumes}
    wanted = dict.fromkeys(
        mount.source for service in services for mount in service.mounts if mount.kind == "volume"
    )
    return [
        Step("create volume", volume, identity.volume(volume), "there is none")
        for volume in wanted
        if identity.volume(volume) not in there
    ]


def _starts(
    services: tuple[Service, ...], verdicts: Mapping[str, _Verdict], identity: Identity
) -> list[Step]:
    """Return steps that start each service as early as its needs allow, and wait only when one is needed."""
    steps: list[Step] = []
    begun: set[str] = set()
    awaited = {name for name, verdict in verdicts.items() if not verdict.wait}

    def wait_for(name: str) -> None:
        if name not in awaited:
            awaited.add(name)
            steps.append(Step("wait for", name, identity.container(name)))

    while len(begun) < len(services):
        ready = [
            service
            for service in services
            if service.name not in begun and {need.service for need in service.needs} <= begun
        ]
        for service in ready:
            start = verdicts[service.name].start
            if start is not None:
                for need in service.needs:
                    if need.condition != "service_started":
                        wait_for(need.service)
                steps.append(start)
        begun |= {service.name for service in ready}
    for service in services:
        wait_for(service.name)
    return steps


def _refuse_strangers(
    file: ComposeFile, profiles: frozenset[str], identity: Identity, observed: Observed
) -> None:
    _refuse_other_folder(identity, observed)
    services = file.chosen(profiles)
    names = {identity.container(service.name) for service in services}
    for container in observed.containers:
        if container.name in names and container.project != identity.project:
            raise RefusedError(
                f"the name {container.name} is taken by a container of somebody else",
                detail=f"it is {container.state}" + _of_project(container.project),
                hint=f"remove it with `docker rm -f {container.name}`, or choose another name with --stack",
            )
    wanted = {
        identity.volume(mount.source)
        for service in services
        for mount in service.mounts
        if mount.kind == "volume"
    }
    for volume in observed.volumes:
        if volume.name in wanted and volume.project != identity.project:
            raise RefusedError(
                f"the volume {volume.name} does not belong to this stack",
                detail="it was not created for it" + _of_project(volume.project),
                hint=f"remove it with `docker volume rm {volume.name}` if nobody needs it, "
                "or choose another name with --stack",
            )
    for network in observed.networks:
        if network.name == identity.network and network.project != identity.project:
            raise RefusedError(
                f"the network {network.name} does not belong to this stack",
                detail="it was not created for it" + _of_project(network.project),
                hint=f"remove it with `docker network rm {network.name}`, "
                "or choose another name with --stack",
            )


def _refuse_other_folder(identity: Identity, observed: Observed) -> None:
    """Check that no resource of the project belongs to another folder.

    Two homes may both have a stack `default`; on one engine only one of them can have the names.
    """
    for kind, found in (
        ("container", observed.containers),
        ("volume", observed.volumes),
        ("network", observed.networks),
    ):
        for each in found:
            if each.project == identity.project and each.folder not in (None, identity.folder):
                rest = "`fraudctl down --volumes` with its --home removes it"
                if kind == "volume":
                    rest += f"; if that folder is gone, `docker volume rm {each.name}` does"
                raise RefusedError(
                    f"the {kind} {each.name} belongs to another stack of the same name",
                    detail=f"that one has its state in {each.folder}, this one in {identity.folder}",
                    hint=f"choose another name with --stack; {rest}",
                )


def _refuse_taken_ports(services: Iterable[Service], observed: Observed) -> None:
    for service in services:
        for port in service.ports:
            holder = observed.ports.get(port.published)
            if holder is not None:
                setting = PORT_SETTINGS.get(service.name, "its port")
                raise RefusedError(
                    f"port {port.published} for {service.name} is held by {holder.described}",
                    detail=holder.detail,
                    hint=f"stop it, set {setting} to another port, or use `fraudctl up --any-port`",
                )


def _of_project(project: str) -> str:
    return f", but for the project {project}" if project else ""


PORT_SETTINGS = {"kafka": "kafka.port", "postgres": "postgres.port", "grafana": "docker.grafana_port"}
