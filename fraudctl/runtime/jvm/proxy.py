"""The proxy of this user's other programs as flags for Java, which does not read the environment."""

from collections.abc import Mapping
from urllib.parse import urlsplit

from fraudctl.errors import ConfigError

_PORTS = {"": 80, "http": 80, "https": 443}
_HINT = "write it like http://proxy.example:3128, or unset it"


def proxy_flags(environ: Mapping[str, str]) -> tuple[str, ...]:
    """Return JVM flags for HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case), without name and password.

    Raises:
        ConfigError: one of them is not the address of a proxy.
    """
    flags: list[str] = []
    for scheme in ("http", "https"):
        address = _address(environ, scheme)
        if address is not None:
            host, port = address
            flags += [f"-D{scheme}.proxyHost={host}", f"-D{scheme}.proxyPort={port}"]
    direct = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if flags and direct:
        names = [name.strip() for name in direct.split(",") if name.strip()]
        hosts = "|".join(f"*{name}" if name.startswith(".") else name for name in names)
        flags.append(f"-Dhttp.nonProxyHosts={hosts}")
    return tuple(flags)


def _address(environ: Mapping[str, str], scheme: str) -> tuple[str, int] | None:
    """Return host and port of the proxy for `scheme`, if there is one; no message shows its password."""
    name = f"{scheme}_proxy" if environ.get(f"{scheme}_proxy") else f"{scheme.upper()}_PROXY"
    value = environ.get(name, "").strip()
    if not value:
        return None
    try:
        found = urlsplit(value if "//" in value else f"//{value}")
        host, port = found.hostname, found.port
    except ValueError as error:
        raise ConfigError(f"{name} is not the address of a proxy", detail=str(error), hint=_HINT) from error
    if found.scheme not in _PORTS:
        raise ConfigError(
            f"{name} names a proxy of the kind {found.scheme}, which Java's downloads cannot use",
            hint=_HINT,
        )
    if not host or any(character.isspace() for character in host):
        raise ConfigError(f"{name} is not the address of a proxy", detail="it names no host", hint=_HINT)
    return host, port or _PORTS[found.scheme]
