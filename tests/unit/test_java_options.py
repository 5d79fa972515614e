"""Flags for the detector's JVM: what cannot be given is refused when the settings are read."""

import pytest

from fraudctl.config.java_options import check_java_options
from fraudctl.config.load import load
from fraudctl.errors import ConfigError
from fraudctl.runtime.first_cause import is_of_java_options

HEAP = "the heap is spark.driver_memory"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ("-Xmx4g", HEAP),
        ("-Dnote=Xmx", HEAP),
        ("-mx4g", HEAP),
        ("-XX:MaxHeapSize=4g", HEAP),
        ("-XX:MaxRAMPercentage=50", HEAP),
        ("-Xms2g", "'-Xms2g' is more than the largest heap, spark.driver_memory (1g)"),
        ("-XX:InitialHeapSize=1048577k", "is more than the largest heap"),
        ("-Duser.timezone=Europe/Berlin", "fraudctl sets it itself"),
        ("-Djava.io.tmpdir=/tmp", "fraudctl sets it itself"),
        ("-Dlog4j2.configurationFile=mine.xml", "fraudctl sets it itself"),
        ("-Dspark.master=local", "the section spark of the settings"),
        ("-cp mine.jar", "Java would not run the detector"),
        ("-version", "Java would not run the detector"),
        ("--dry-run", "Java would not run the detector"),
        ("Xss4m", "options of Java begin with -"),
        ("@options", "options of Java begin with -"),
        ("-Da=1 'b", "a quotation mark is not closed"),
    ],
)
def test_what_cannot_be_given_is_refused_with_the_setting_that_says_it(options: str, words: str) -> None:
    with pytest.raises(ConfigError) as caught:
        load(flags={"spark.java_options": options, "spark.driver_memory": "1g"})
    told = f"{caught.value.message} {caught.value.detail}"
    assert words in told and "spark.java_options" in told
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    "options",
    [
        "",
        "-Xms512m",
        "-Xms1g -Xss4m",
        "-XX:+UseZGC -XX:+Nope",
        "-Dmine=1 '-Dtwo=a b'",
        "--add-opens java.base/java.lang=ALL-UNNAMED",
        "--add-opens=java.base/java.lang=ALL-UNNAMED -ea",
        "-javaagent:agent.jar",
        "-XshowSettings:vm",
    ],
)
def test_what_java_takes_is_let_through(options: str) -> None:
    check_java_options(options, "1g")


@pytest.mark.parametrize(
    ("cause", "expected"),
    [
        ("Improperly specified VM option 'MaxMetaspaceSize=nonsense'", True),
        ("Error opening zip file or JAR manifest missing : /nonexistent.jar", True),
        ("Multiple garbage collectors selected", True),
        ("Invalid maximum heap size: -Xmx900000g", True),
        ("java.net.BindException: Address already in use", False),
        ("", False),
    ],
)
def test_a_jvm_that_refuses_its_options_is_not_to_be_run_again(cause: str, expected: bool) -> None:
    assert is_of_java_options(cause) is expected
