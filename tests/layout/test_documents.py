"""Documents say what is true: commands and options exist, links lead somewhere, generated parts are up to date."""

from __future__ import annotations

import ast
import re
import shlex
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from cli import reference
from cli.main import command
from tests.fakes.checkout import ROOT, python_files, text_of, tracked, tree_of

PAGES = [name for name in tracked() if name.endswith(".md")]
FENCE = re.compile(r"^\s*```(?P<kind>\w*)\n(?P<body>.*?)^\s*```", re.DOTALL | re.MULTILINE)
LINK = re.compile(r"\[[^\]]*\]\((?P<target>[^)\s]+)\)")
SECTIONS = {"Added", "Changed", "Fixed", "Removed"}
RELEASE = re.compile(r"^(Unreleased|\d+\.\d+\.\d+ – \d{4}-\d{2}-\d{2})$")
PARTS = ["## Situation", "## Choice", "## What we gave up", "## What would change our mind"]
WORDS = (
    "pool, range, extension, reservation, claim, grace period, lifecycle template, plan, change, effect, journal,"
    " request, approval, scope, operator, user, feed, quarantine, pause, run, wave, batch, lease"
)


def shell_lines(name: str) -> Iterator[str]:
    """Give the command lines of a page's console and shell blocks."""
    for block in FENCE.finditer(text_of(name)):
        if block["kind"] in ("console", "bash", "sh"):
            for line in block["body"].splitlines():
                words = line.strip()
                if words.startswith("$ ") or (block["kind"] != "console" and words):
                    yield words.removeprefix("$ ")


LINES = [(name, line) for name in PAGES for line in shell_lines(name)]


@pytest.mark.parametrize(("name", "line"), [pair for pair in LINES if pair[1].startswith("./callwright")])
def test_command_line_in_a_page_parses(name: str, line: str) -> None:
    """Every `./callwright` line of a page is understood by the command line, options and all."""
    parse(shlex.split(line, comments=True)[1:])


@pytest.mark.parametrize(("name", "line"), [pair for pair in LINES if pair[1].startswith("make ")])
def test_make_target_in_a_page_exists(name: str, line: str) -> None:
    """Every `make` line of a page names a target of the Makefile."""
    targets = set(re.findall(r"^([a-z]+):", text_of("Makefile"), re.MULTILINE))
    words = [word for word in shlex.split(line, comments=True)[1:] if "=" not in word]
    assert set(words) <= targets


@pytest.mark.parametrize("name", PAGES)
def test_inline_commands_exist(name: str) -> None:
    """A command that a page mentions in passing exists too."""
    for mention in re.findall(r"`\./callwright ([^`]+)`", text_of(name)):
        if "[" not in mention and name != "docs/commands.md":
            words = mention.replace("NAME", "name").split()
            find([word for word in words if not word.startswith("-")])


@pytest.mark.parametrize("name", PAGES)
def test_links_lead_somewhere(name: str) -> None:
    """Every relative link of a page leads to a file or a folder, and its anchor to a heading."""
    text = FENCE.sub("", text_of(name))
    for target in LINK.findall(text):
        path, _, anchor = target.partition("#")
        if "://" not in target:
            found = (ROOT / name).parent / path if path else ROOT / name
            assert found.exists(), f"{name} links to {target}"
            assert not anchor or anchor in anchors(found), f"{name} links to {target}"


def test_every_command_is_in_a_page() -> None:
    """Every command is in the reference, and besides it in a page that says when to use it."""
    pages = "\n".join(text_of(name) for name in PAGES if name != "docs/commands.md")
    missing = [c.words for c in reference.commands() if f"./callwright {c.words}" not in pages]
    assert not missing


@pytest.mark.parametrize("page", reference.PAGES)
def test_generated_part_is_up_to_date(page: str) -> None:
    """The generated part of a page is what the code says; refresh it with `python -m cli.reference`."""
    assert text_of(page) == reference.refreshed(page)


def test_every_page_can_be_found() -> None:
    """Every page is linked from the README or from a page that is."""
    seen, todo = set[str](), ["README.md"]
    while todo:
        name = todo.pop()
        if name in seen or not name.endswith(".md"):
            continue
        seen.add(name)
        for target in LINK.findall(FENCE.sub("", text_of(name))):
            path = ((ROOT / name).parent / target.partition("#")[0]).resolve()
            if path.is_dir():
                todo += [str(child.relative_to(ROOT)) for child in path.glob("*.md")]
            elif path.is_file():
                todo.append(str(path.relative_to(ROOT)))
    assert set(PAGES) <= seen


@pytest.mark.parametrize("name", [name for name in PAGES if name.startswith("docs/decisions/")])
def test_decision_has_its_parts(name: str) -> None:
    """A decision is numbered and says situation, choice, what was given up and what would change our mind."""
    number = Path(name).name.partition("-")[0]
    text = text_of(name)
    assert re.match(rf"# {int(number)}\. \S", text)
    assert [line for line in text.splitlines() if line.startswith("## ")] == PARTS
    assert len(text.splitlines()) <= 60


def test_changelog_has_its_shape() -> None:
    """The changelog is newest first, with Added, Changed, Fixed and Removed and nothing else."""
    lines = text_of("CHANGELOG.md").splitlines()
    assert lines[0] == "# Changelog"
    releases = [line.removeprefix("## ") for line in lines if line.startswith("## ")]
    assert releases
    assert all(RELEASE.match(release) for release in releases)
    assert releases == sorted(releases, key=version, reverse=True)
    assert {line.removeprefix("### ") for line in lines if line.startswith("### ")} <= SECTIONS
    assert not [line for line in lines if line and not line.startswith(("#", "- ", "  ", "What an operator"))]


def test_readme_opens_with_what_it_is() -> None:
    """The README's first screen has one sentence, a terminal transcript and five links."""
    screen = "\n".join(text_of("README.md").splitlines()[:45])
    assert "```console" in screen
    assert len(set(LINK.findall(screen))) >= 5
    assert "make demo" in screen
    assert "make test" in screen


def test_glossary_has_the_words_of_the_design() -> None:
    """Each of our words is explained once."""
    entries = re.findall(r"^\| ([^|]+?) \|", text_of("docs/glossary.md"), re.MULTILINE)
    words = {word.strip() for entry in entries for word in entry.split(",")}
    assert {word.strip() for word in WORDS.split(",")} <= words


def version(release: str) -> tuple[int, ...]:
    """Give a release's sort key; what is unreleased is newest."""
    return (
        (10**9,)
        if release == "Unreleased"
        else tuple(int(part) for part in release.split(" ", maxsplit=1)[0].split("."))
    )


@cache
def anchors(path: Path) -> frozenset[str]:
    """Give the anchors of a page's headings."""
    headings = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return frozenset(re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings)


def find(words: list[str]) -> Any:
    """Find a command or a group by its words; what follows a command are its arguments."""
    found: Any = command()
    for word in words:
        if not hasattr(found, "commands"):
            break
        assert word in found.commands, f"no command '{word}' in {words}"
        found = found.commands[word]
    return found


def parse(words: list[str]) -> None:
    """Parse a command line as the program would, without running it."""
    found: Any = command()
    parent = None
    while hasattr(found, "commands"):
        parent = found.make_context("callwright", words[:0], parent=parent, resilient_parsing=True)
        assert words, "a group alone"
        assert words[0] in found.commands, f"no command '{words[0]}'"
        found, words = found.commands[words[0]], words[1:]
    found.make_context("callwright", list(words), parent=parent)


def test_every_promised_figure_is_listed_with_its_bound() -> None:
    """The page of figures names every goal of every benchmark, with the bound that the benchmark judges by."""
    row = re.compile(r"^\| `(\w+)` \| `(\w+)` \| (\S+) (\S+)", re.MULTILINE)
    listed = {(bench, goal): (op, bound) for bench, goal, op, bound in row.findall(text_of("docs/figures.md"))}
    for bench, goal, op, bound in promised_figures():
        assert listed.get((bench, goal)) == (op, bound), f"{bench} {goal} {op} {bound}"


def promised_figures() -> Iterator[tuple[str, str, str, str]]:
    """Give bench, goal, side and bound of every `Goal("name", …)`; bounds may be constants of the module."""
    for name in python_files("benchmarks"):
        tree, bench = tree_of(name), name.split("/")[1].removesuffix(".py")
        constants = dict(pair for node in tree.body if isinstance(node, ast.Assign) for pair in _constants(node))
        for call in ast.walk(tree):
            if (
                isinstance(call, ast.Call)
                and ast.unparse(call.func) == "Goal"
                and isinstance(call.args[0], ast.Constant)
            ):
                goal, _, bound, *op = call.args
                bound = constants.get(bound.id, bound) if isinstance(bound, ast.Name) else bound
                side = "≥" if op and ast.literal_eval(op[0]) == ">=" else "≤"
                yield bench, ast.literal_eval(goal), side, f"{ast.literal_eval(bound):g}"


def _constants(node: ast.Assign) -> Iterator[tuple[str, ast.expr]]:
    """Give names and values of `A = 1` and of `A, B = 1, 2`."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
        pairs = zip(target.elts, value.elts, strict=True)
        yield from ((name.id, each) for name, each in pairs if isinstance(name, ast.Name))
    elif isinstance(target, ast.Name):
        yield target.id, value
