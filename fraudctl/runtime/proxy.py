"""The proxy of this user's other programs, told to Java, which does not look at the environment."""

from collections.abc import Mapping
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


def proxy_flags(environ: Mapping[str, str]) -> tuple[str, ...]:
    """JVM flags for HTTP_PROXY, HTTPS_PROXY and NO_PROXY (either case); a name and password are left out."""
    flags: list[str] = []
    for scheme in ("http", "https"):
        named = environ.get(f"{scheme}_proxy") or environ.get(f"{scheme.upper()}_PROXY") or ""
        address = urlsplit(named if "//" in named else f"//{named}")
        if address.hostname:
            port = address.port or _PORTS.get(address.scheme, 80)
            flags += [f"-D{scheme}.proxyHost={address.hostname}", f"-D{scheme}.proxyPort={port}"]
    direct = environ.get("no_proxy") or environ.get("NO_PROXY") or ""
    if flags and direct:
        names = [name.strip() for name in direct.split(",") if name.strip()]
        hosts = "|".join(f"*{name}" if name.startswith(".") else name for name in names)
        flags.append(f"-Dhttp.nonProxyHosts={hosts}")
    return tuple(flags)
