"""A detector that begins with rules which can never match says so before it starts."""

from pathlib import Path

from tests.conftest import NewStack


def test_rules_of_a_new_pipeline_that_can_never_match_are_told(new_stack: NewStack, tmp_path: Path) -> None:
    stack = new_stack()
    stack.up()
    file = tmp_path / "mine.yaml"
    file.write_text("rules:\n  - {id: a, reason: r, when: {countries: [us]}}\n", encoding="utf-8")
    done = stack.run("detect", "--dry-run", env={"FRAUDCTL_RULES__FILE": str(file)})
    assert f"warning: {file}:2: rule a: 'us' in countries: no event has this country" in done.stderr
    assert "did you mean US?" in done.stderr
