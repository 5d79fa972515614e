"""Rules for the environment variables of other programs: what a child process gets, and what counts.

Variables such as PGSSLMODE, JAVA_TOOL_OPTIONS or SPARK_HOME are meant for the user's own programs. What
fraudctl starts or connects to must be the same with and without them. Only this module decides which
variables are passed on.
"""

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

# libpq's variables by connection parameter (PostgreSQL: libpq-envars). Those for TLS and for the login method
# count for an external database, where a user expects them; no other variable does.
LIBPQ_TLS: Mapping[str, str] = {
    "sslmode": "PGSSLMODE",
    "sslnegotiation": "PGSSLNEGOTIATION",
    "sslcert": "PGSSLCERT",
    "sslkey": "PGSSLKEY",
    "sslcertmode": "PGSSLCERTMODE",
    "sslrootcert": "PGSSLROOTCERT",
    "sslcrl": "PGSSLCRL",
    "sslcrldir": "PGSSLCRLDIR",
    "sslsni": "PGSSLSNI",
    "ssl_min_protocol_version": "PGSSLMINPROTOCOLVERSION",
    "ssl_max_protocol_version": "PGSSLMAXPROTOCOLVERSION",
    "channel_binding": "PGCHANNELBINDING",
    "require_auth": "PGREQUIREAUTH",
    "gssencmode": "PGGSSENCMODE",
}
# No connection parameter overrides these: libpq looks up even an empty service name, and sends the last three
# to the server as they are.
LIBPQ_UNANSWERABLE = ("PGSERVICE", "PGSERVICEFILE", "PGSYSCONFDIR", "PGDATESTYLE", "PGGEQO", "PGTZ")

# Read by every JVM, or by its launcher, before it looks at its own command line.
_JAVA = frozenset(
    {
        "CLASSPATH",
        "IBM_JAVA_OPTIONS",
        "JAVA_ARGS",
        "JAVA_OPTIONS",
        "JAVA_OPTS",
        "JAVA_TOOL_OPTIONS",
        "JDK_JAVAC_OPTIONS",
        "JDK_JAVA_OPTIONS",
        "JVM_ARGS",
        "JVM_OPTS",
        "OPENJ9_JAVA_OPTIONS",
        "SCALA_HOME",
        "_JAVA_OPTIONS",
    }
)
# Read by a shell before it runs a script; spark-submit is a shell script.
_SHELL = frozenset({"BASH_ENV", "BASHOPTS", "CDPATH", "ENV", "POSIXLY_CORRECT", "SHELLOPTS"})
# `for_program` puts the needed folders of PYTHONPATH back.
_PYTHON = frozenset({"PYTHONHOME", "PYTHONINSPECT", "PYTHONPATH", "PYTHONSTARTUP", "PYTHONWARNINGS"})
_PREFIXES = (
    "BASH_FUNC_",
    "HADOOP_",
    "HDFS_",
    "HIVE_",
    "KAFKA_",
    "LOG4J_",
    "MAPRED_",
    "PYSPARK_",
    "SPARK_",
    "YARN_",
)
# Without the two CONF_DIRs a YARN cluster cannot be found; HADOOP_USER_NAME is the user who calls it.
_YARN = frozenset({"HADOOP_CONF_DIR", "HADOOP_USER_NAME", "YARN_CONF_DIR"})
# nss_wrapper gives a name to a user who has no entry in /etc/passwd.
_NSS_WRAPPER = ("NSS_WRAPPER_PASSWD", "NSS_WRAPPER_GROUP", "LD_PRELOAD")

# Variables of pip that say where packages come from; the others say where they go, or which are allowed. The
# Makefile has the same list.
PIP_KEPT = frozenset(
    {
        "PIP_CACHE_DIR",
        "PIP_CERT",
        "PIP_CLIENT_CERT",
        "PIP_CONFIG_FILE",
        "PIP_DEFAULT_TIMEOUT",
        "PIP_EXTRA_INDEX_URL",
        "PIP_FIND_LINKS",
        "PIP_INDEX_URL",
        "PIP_KEYRING_PROVIDER",
        "PIP_NO_CACHE_DIR",
        "PIP_NO_INDEX",
        "PIP_PROXY",
        "PIP_RETRIES",
        "PIP_TIMEOUT",
        "PIP_TRUSTED_HOST",
        "PIP_USE_FEATURE",
    }
)

# Kubernetes puts variables for every service of the namespace into each container. Those of a service named
# `fraudctl` or `fraudctl-something` have the prefix of fraudctl's settings.
_SERVICE_LINK = re.compile(
    r"[A-Z0-9_]+?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|"
    r"PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_SERVICE_ADDRESS = re.compile(r"(tcp|udp|sctp)://\S+")


def dropped(environ: Mapping[str, str], *, yarn: bool = False) -> tuple[str, ...]:
    """Return the names of the variables that no child process gets, sorted.

    Args:
        environ: the caller's variables.
        yarn: the child needs the configuration of a Hadoop cluster.
    """
    return tuple(sorted(name for name in environ if _is_foreign(name) and not (yarn and name in _YARN)))


def for_program(
    environ: Mapping[str, str], *, yarn: bool = False, python_path: Sequence[Path] = ()
) -> dict[str, str]:
    """Return the environment of a child that works for this user: a JVM, spark-submit, a Python of ours.

    Args:
        environ: the caller's variables.
        yarn: the child needs the configuration of a Hadoop cluster.
        python_path: folders that stay in PYTHONPATH if they are there; every other one is removed.
    """
    foreign = set(dropped(environ, yarn=yarn))
    kept = {name: value for name, value in environ.items() if name not in foreign}
    wanted = {os.path.realpath(folder) for folder in python_path}
    folders = [entry for entry in environ.get("PYTHONPATH", "").split(os.pathsep) if entry]
    needed = [entry for entry in folders if os.path.realpath(entry) in wanted]
    return kept | ({"PYTHONPATH": os.pathsep.join(needed)} if needed else {})


def for_pip(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the environment for pip: sources of packages are kept, destinations are removed."""
    kept = for_program(environ)
    return {name: value for name, value in kept.items() if not name.startswith("PIP_") or name in PIP_KEPT}


def for_service(environ: Mapping[str, str], **given: str) -> dict[str, str]:
    """Return the environment for a service of the stack: PATH, TZ and `given`.

    Of the user's variables only those of nss_wrapper are kept, which give the user a name.
    """
    named = environ.get("NSS_WRAPPER_PASSWD")
    wrapped = {name: environ[name] for name in _NSS_WRAPPER if named and name in environ}
    return {"PATH": os.defpath, "TZ": "UTC", **wrapped, **given}


def is_service_link(name: str, value: str) -> bool:
    """Tell whether a variable describes a Kubernetes service (or a linked container) and is no setting."""
    found = _SERVICE_LINK.fullmatch(name)
    if found is None:
        return False
    if found[1] == "PORT" or (found[3] is not None and found[4] is None):
        return _SERVICE_ADDRESS.fullmatch(value) is not None
    return True


def libpq_tls(environ: Mapping[str, str]) -> dict[str, str]:
    """Return the connection parameters that the user's variables for TLS and the login ask for."""
    return {key: environ[name] for key, name in LIBPQ_TLS.items() if environ.get(name)}


def _is_foreign(name: str) -> bool:
    return name in _JAVA or name in _SHELL or name in _PYTHON or name.startswith(_PREFIXES)
