"""The table of the bars: the last word of every test counts, and a bar that was missed fails it."""

import json
from pathlib import Path

import pytest

from tests.support import bars
from tests.support.bars import Bar, Row

MARK = pytest.mark.bar(4, "a bar that only this page has", target="4 apples")


def row(test: str, number: int = 1, *, passed: bool = True, figure: str = "diff 0") -> Row:
    return Row(
        bar=number, name="exact", target="diff 0", figure=figure, passed=passed, seconds=1.0, test=test
    )


def written(folder: Path, *rows: Row) -> Path:
    lines = "".join(json.dumps(each) + "\n" for each in rows)
    (folder / bars.LINES).write_text(lines, encoding="utf-8")
    return folder


def test_the_last_line_of_a_test_counts(tmp_path: Path) -> None:
    planned = row("b", 2, passed=False, figure="did not run to its end")
    found = bars.rows(written(tmp_path, planned, row("a", 12), row("b", 2)))
    assert [(each["bar"], each["passed"]) for each in found] == [(2, True), (12, True)]


@pytest.mark.parametrize(("passed", "code"), [(True, 0), (False, 1)])
def test_a_missed_bar_fails_the_table(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], passed: bool, code: int
) -> None:
    result = tmp_path / "result.json"
    assert bars.main([str(written(tmp_path, row("a", passed=passed))), str(result)]) == code
    assert json.loads(result.read_text(encoding="utf-8"))["passed"] == int(passed)
    assert ("**missed**" in result.with_suffix(".md").read_text(encoding="utf-8")) == (not passed)
    printed = capsys.readouterr().out
    assert "diff 0" in printed
    assert ("FAIL" in printed) == (not passed)


def test_no_bar_at_all_proves_nothing(tmp_path: Path) -> None:
    assert bars.main([str(written(tmp_path)), str(tmp_path / "result.json")]) == 1


def test_a_marked_test_leaves_its_figure(
    bar: Bar, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "FOLDER", tmp_path)
    request.node.add_marker(MARK)
    bar("3 apples")
    bar("1 pear")
    bars._add(request.node, passed=True, seconds=0.5, otherwise="")
    (found,) = bars.rows(tmp_path)
    assert (found["bar"], found["figure"], found["target"]) == (4, "3 apples; 1 pear", "4 apples")
    # Not to be seen by the hook that runs after this test.
    request.node.own_markers.remove(MARK.mark)


def test_a_test_that_is_several_bars_leaves_a_figure_for_each(
    bar: Bar, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bars, "FOLDER", tmp_path)
    marks = [MARK, pytest.mark.bar(9, "another", target="no pears")]
    for mark in marks:
        request.node.add_marker(mark)
    bar("4 apples")
    bar("0 pears", number=9)
    bars._add(request.node, passed=True, seconds=0.5, otherwise="")
    found = {each["bar"]: each["figure"] for each in bars.rows(tmp_path)}
    assert found == {4: "4 apples", 9: "0 pears"}
    for mark in marks:
        request.node.own_markers.remove(mark.mark)


def test_tests_that_share_a_bar_are_one_line(tmp_path: Path) -> None:
    tests = [row("a[x]", 2, figure="named"), row("a[y]", 2, figure="named"), row("a[z]", 2, passed=False)]
    (found,) = bars.rows(written(tmp_path, *tests))
    assert (found["figure"], found["passed"]) == ("2 of 3 named; 1 of 3 diff 0", False)
    assert (found["test"], found["seconds"]) == ("a", 3.0)


def test_figures_that_differ_are_told_one_after_the_other(tmp_path: Path) -> None:
    (found,) = bars.rows(written(tmp_path, row("a[x]", figure="3 s"), row("a[y]", figure="5 s")))
    assert found["figure"] == "3 s; 5 s"
