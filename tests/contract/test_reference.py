"""The documents: reference pages are those of the code, links lead somewhere, commands exist."""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from fraudctl.cli.main import app
from fraudctl.config.load import load
from fraudctl.recount.parse import Transaction, parser
from tools import reference

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
DOCUMENTS = sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "CHANGELOG.md", *DOCS.rglob("*.md")])
FENCED = re.compile(r"^( *)```(\w*)[^\n]*\n(.*?)^\1```", re.MULTILINE | re.DOTALL)
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)|(?:src|href)=\"([^\"]+)\"")
ELSEWHERE = re.compile(r"(https?:|mailto:)")


def names(documents: list[Path]) -> list[str]:
    return [str(document.relative_to(ROOT)) for document in documents]


def without_code(text: str) -> str:
    """Return a document without its code, in which brackets are no links."""
    return re.sub(r"`[^`\n]+`", "code", FENCED.sub("", text))


def anchors(document: Path) -> set[str]:
    """Return the anchors of a document's headings: as MkDocs makes them in docs/, else as GitHub does."""
    found: set[str] = set()
    for heading in re.findall(
        r"^#{1,6} +(.+?) *#*$", FENCED.sub("", document.read_text("utf-8")), re.MULTILINE
    ):
        plain = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        words = re.sub(r"[^\w\s-]", "", plain).strip().lower()
        in_docs = document.is_relative_to(DOCS)
        anchor = re.sub(r"[-\s]+", "-", words) if in_docs else words.replace(" ", "-")
        same = sum(re.fullmatch(rf"{re.escape(anchor)}([-_]\d+)?", each) is not None for each in found)
        found.add(f"{anchor}{'_' if in_docs else '-'}{same}" if same else anchor)
    return found


def broken_links(document: Path) -> Iterator[str]:
    """Yield the links of a document that lead to no file, or to no heading of it."""
    for pair in LINK.findall(without_code(document.read_text(encoding="utf-8"))):
        link = "".join(pair)
        if ELSEWHERE.match(link):
            continue
        path, _, anchor = link.partition("#")
        target = (document.parent / path).resolve() if path else document
        if not target.exists() or (anchor and anchor not in anchors(target)):
            yield link


def documented_commands(document: Path) -> Iterator[list[str]]:
    """Yield the words of every fraudctl command of a document: in its shell blocks, and in its text."""
    text = document.read_text(encoding="utf-8")
    for _indent, kind, block in FENCED.findall(text):
        if kind in ("sh", "bash"):
            bare = re.sub(r"<<'(\w+)'\n.*?^\1$", "", block, flags=re.MULTILINE | re.DOTALL)
            for line in bare.splitlines():
                for part in re.split(r"\s(?:\||&&)\s|;\s|\$\(", line.partition(" # ")[0]):
                    words = re.sub(r"^(?:[A-Z_]+=\S+\s+)+", "", part.strip()).rstrip(')"')
                    if words.startswith("fraudctl "):
                        yield shlex.split(words)
    for span in re.findall(r"`(fraudctl [^`]+)`", FENCED.sub("", text)):
        if "=" not in span and "…" not in span:
            yield span.split()


def unknown_words(words: list[str]) -> list[str]:
    """Return what the command line does not know of these words: a command, or options."""
    found: Any = typer.main.get_command(app)
    rest = words[1:]
    while rest and (inner := getattr(found, "commands", None)) is not None:
        if rest[0] in inner:
            found, rest = inner[rest[0]], rest[1:]
        else:
            return [] if rest[0] in ("--help", "-h", "--version") else rest[:1]
    if "--" in rest:
        rest = rest[: rest.index("--")]
    known = {name for parameter in found.params for name in (*parameter.opts, *parameter.secondary_opts)}
    known |= {"--help", "-h"}
    given = {word.partition("=")[0] for word in rest if re.match(r"--?[a-z]", word)}
    return sorted(given - known)


def build_site(folder: Path, site: Path) -> subprocess.CompletedProcess[str]:
    """Run the build of `make docs` in a folder; --quiet would hide the warnings from --strict."""
    arguments = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(site)]
    return subprocess.run(arguments, cwd=folder, capture_output=True, text=True, check=False)


def test_the_reference_pages_are_those_of_the_code() -> None:
    assert reference.differences() == [], "make reference"


def test_a_page_that_differs_is_named(tmp_path: Path) -> None:
    for name, text in reference.pages().items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    assert reference.differences(tmp_path) == []
    (tmp_path / "commands.md").write_text("# Commands\n", encoding="utf-8")
    (tmp_path / "settings.md").unlink()
    (tmp_path / "by-hand.md").write_text("# By hand\n", encoding="utf-8")
    assert reference.differences(tmp_path) == ["by-hand.md", "commands.md", "settings.md"]


def test_the_example_event_is_valid() -> None:
    parse = parser(load(profile="local").settings.events)
    assert isinstance(parse(json.dumps(reference.EXAMPLE_EVENT).encode()), Transaction)


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_local_link_leads_to_a_file_and_a_heading(document: Path) -> None:
    assert list(broken_links(document)) == []


def test_links_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "there.md").write_text("# One heading\n\n```sh\n# no heading\n```\n", encoding="utf-8")
    page = tmp_path / "page.md"
    page.write_text(
        "# Page\n[a](there.md) [b](there.md#one-heading) [c](#page) [d](https://example.org/x)\n"
        "[e](gone.md) [f](there.md#no-heading) ![g](gone.png) [h](#nowhere) `[i](code.md)`\n",
        encoding="utf-8",
    )
    assert list(broken_links(page)) == ["gone.md", "there.md#no-heading", "gone.png", "#nowhere"]


@pytest.mark.parametrize("document", DOCUMENTS, ids=names(DOCUMENTS))
def test_every_documented_command_exists_with_its_options(document: Path) -> None:
    unknown = {
        " ".join(words): found for words in documented_commands(document) if (found := unknown_words(words))
    }
    assert unknown == {}


def test_a_command_that_does_not_exist_is_found() -> None:
    assert unknown_words(["fraudctl", "frobnicate"]) == ["frobnicate"]
    assert unknown_words(["fraudctl", "rules", "mend"]) == ["mend"]
    assert unknown_words(["fraudctl", "up", "--any-port", "--soon"]) == ["--soon"]
    assert unknown_words(["fraudctl", "exec", "kafka", "--", "ls", "--all"]) == []


def test_the_site_is_built_strictly_and_loads_nothing_from_elsewhere(tmp_path: Path) -> None:
    built = build_site(ROOT, tmp_path)
    assert built.returncode == 0, built.stderr
    loading = re.compile(
        r'<(?:script|img|iframe)[^>]*\ssrc="?(?:https?:)?//|<link[^>]*\shref="?(?:https?:)?//'
    )
    pages = sorted(tmp_path.rglob("*.html"))
    assert len(pages) > 40
    assert [page.name for page in pages if loading.search(page.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize(
    ("page", "text", "named"),
    [
        ("index.md", "[gone](gone.md)", "'gone.md'"),
        ("index.md", "[nowhere](proof.md#nowhere)", "'proof.md#nowhere'"),
        ("not-in-the-navigation.md", "# Alone", "- not-in-the-navigation.md"),
    ],
)
def test_the_build_fails_for_a_broken_link_and_for_a_page_that_no_menu_leads_to(
    tmp_path: Path, page: str, text: str, named: str
) -> None:
    shutil.copytree(DOCS, tmp_path / "docs")
    shutil.copy(ROOT / "mkdocs.yml", tmp_path)
    with (tmp_path / "docs" / page).open("a", encoding="utf-8") as file:
        file.write(f"\n{text}\n")
    built = build_site(tmp_path, tmp_path / "site")
    assert built.returncode != 0
    assert named in built.stderr
