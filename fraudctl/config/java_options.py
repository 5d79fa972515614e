"""Flags for the detector's JVM: those that cannot be given, and the setting that says the same."""

import re
import shlex
from collections.abc import Iterator

# Options whose value may be the next word.
_TWO_WORDS = (
    "--add-exports",
    "--add-modules",
    "--add-opens",
    "--add-reads",
    "--enable-native-access",
    "--limit-modules",
    "--module-path",
    "--patch-module",
    "--upgrade-module-path",
    "-p",
)
_HEAP = "the heap is spark.driver_memory"
_OWN = "fraudctl sets it itself"
_NOT_A_RUN = "Java would not run the detector with it"
# Spark refuses every text that holds Xmx, wherever it stands.
_REASONS: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r".*Xmx.*|-mx.*|-XX:(MaxHeapSize|MaxRAM|MaxRAMPercentage|MaxRAMFraction)=.*"), _HEAP),
    (re.compile(r"-D(user\.timezone|java\.io\.tmpdir|log4j2?\.configurationFile)(=.*)?"), _OWN),
    (re.compile(r"-Dspark\..*"), "what Spark is told stands in the section spark of the settings"),
    (re.compile(r"-cp|-classpath|--class-path(=.*)?|-jar|-m|--module(=.*)?|--source.*"), _NOT_A_RUN),
    (
        re.compile(r"--?version|-?-show-?version|-fullversion|-h|--?help(-extra)?|-\?|-X|--dry-run"),
        _NOT_A_RUN,
    ),
    (re.compile(r"--(list-modules|describe-module|validate-modules)(=.*)?|-d"), _NOT_A_RUN),
    (re.compile(r"[^-].*|-|"), "options of Java begin with -"),
)
_FIRST_HEAP = re.compile(r"(?:-Xms|-ms|-XX:InitialHeapSize=)([0-9]+)([kmgtKMGT]?)")
_BYTES = {"": 1, "k": 2**10, "m": 2**20, "g": 2**30, "t": 2**40}


def check_java_options(options: str, driver_memory: str) -> None:
    """Check that Spark and Java take the options, as far as their names tell.

    Args:
        options: as a shell would split them.
        driver_memory: the largest heap, such as 1g.

    Raises:
        ValueError: one cannot be given.
    """
    for option in _names(options):
        for pattern, reason in _REASONS:
            if pattern.fullmatch(option):
                raise ValueError(f"{option!r} cannot be given: {reason}")
        found = _FIRST_HEAP.fullmatch(option)
        if found and int(found[1]) * _BYTES[found[2].lower()] > _size(driver_memory):
            raise ValueError(
                f"{option!r} is more than the largest heap, spark.driver_memory ({driver_memory})"
            )


def _names(options: str) -> Iterator[str]:
    """Yield the options without the words that are a value of the one before."""
    try:
        words = shlex.split(options)
    except ValueError:
        raise ValueError("a quotation mark is not closed, or a backslash stands at the end") from None
    before = ""
    for word in words:
        if before not in _TWO_WORDS:
            yield word
            before = word
        else:
            before = ""


def _size(memory: str) -> int:
    return int(memory[:-1]) * _BYTES[memory[-1]]
