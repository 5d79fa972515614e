"""Archive the classes that a detector loads, so that the tests' many starts of Spark take less time.

    python -m tests.class_archive

The archive fits one Java and one class path; a JVM that finds another says nothing and loads classes as ever.
"""

import shlex

from tests import stacks


def main() -> None:
    stacks.CLASS_ARCHIVE.parent.mkdir(exist_ok=True)
    stacks.CLASS_ARCHIVE.unlink(missing_ok=True)
    dump = shlex.join([stacks.JAVA_OPTIONS, f"-XX:ArchiveClassesAtExit={stacks.CLASS_ARCHIVE}"])
    stack = stacks.new_stack(stacks.make_home(), {"FRAUDCTL_SPARK__JAVA_OPTIONS": dump})
    try:
        stack.up()
        stack.run("produce", "--rate", "1000", "--count", "1000", "--seed", "1")
        stack.run("detect", "--until-caught-up")
    finally:
        stacks.discard(stack)


if __name__ == "__main__":
    main()
