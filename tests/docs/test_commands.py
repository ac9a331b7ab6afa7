"""Every command block of README and docs is run by a test; a block that nobody runs is found.

A page is run in one of three ways. A test that reads it by `Page(...).commands(section)` and unpacks what it gets runs
that section, and needs no entry here. A page with a test of its own, which takes its blocks apart in its own way, is in
`RUN_BY`. A block of nothing but `make` targets is run by whatever runs those.
"""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from local.emulator import CHECKOUT
from tests.docs.pages import SHELLS, Block, Page

# A page, or a section of it, and the test that runs its blocks.
RUN_BY = {
    "docs/runbooks/expiring-failures.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/failed-restores.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/failed-retirements.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/failures.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/stale-requests.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/stale-restores.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/stale-scheduling.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/stop-button.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/sweep-errors.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/dropped-sweeps.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/undelivered-sweeps.md": "tests/stack/test_runbooks.py",
    "docs/runbooks/webhook-errors.md": "tests/stack/test_runbooks.py",
    "docs/approval.md": "tests/stack/test_pages.py",
    "docs/restore.md": "tests/stack/test_pages.py",
    "docs/scheduling.md": "tests/stack/test_pages.py",
    "docs/sweep.md": "tests/stack/test_sweep_page.py",
    "docs/webhook.md": "tests/stack/test_webhook_page.py",
}

# A `make` target, and the test that runs it or what it runs, with the words that do.
MADE_BY = {
    "demo": ("tests/stack/test_first_commands.py", 'make("demo"'),
    "faults": ("tests/faults/test_matrix.py", "cases_of_all()"),
    "local": ("tests/stack/test_first_commands.py", 'make("local"'),
    "soak": ("tests/soak/test_soak.py", "soak("),
    "test": (".ci/run", "make test"),
}

PROGRAMS = ("aws", "curl", "datamart", "make", "python", "python3", "sam", "sed")
LINES = re.compile(r"(?m)^(?:\$ )?(\S+)")
TARGET = re.compile(r"(?m)^(?:\$ )?make ([a-z-]+)")

PAGES = [page for page in Page.all() if page.name == "README.md" or page.name.startswith("docs/")]


def is_command(block: Block) -> bool:
    """Whether a person would type it, whatever its language is called."""
    return block.language in SHELLS or (not block.language and block.text.split()[0] in PROGRAMS)


def is_run(page: Page, block: Block) -> bool:
    """Whether somebody runs it."""
    programs = {word for word in LINES.findall(block.text) if word != "#"}
    made = programs == {"make"} and all(target in MADE_BY for target in TARGET.findall(block.text))
    listed = {page.name, f"{page.name}#{block.anchor}"} & RUN_BY.keys()
    return made or bool(listed) or (page.name, block.section) in unpacked()


@cache
def unpacked() -> frozenset[tuple[str, str]]:
    """The sections whose blocks a test takes, each by a name, so that a further one would not fit."""
    return frozenset(
        found for path in (CHECKOUT / "tests" / "stack").glob("test_*.py") for found in _unpacked(path.read_text())
    )


def _unpacked(source: str) -> Iterator[tuple[str, str]]:
    pages: dict[str, str] = {}
    for node in ast.walk(ast.parse(source)):
        if not isinstance(node, ast.Assign):
            continue
        for target, value in _pairs(node):
            match target, value:
                case ast.Name(name), ast.Call(ast.Name("Page"), [ast.Constant(str(page))]):
                    pages[name] = page
                case ast.Tuple(names), ast.Call(
                    ast.Attribute(ast.Name(name), "commands"), [ast.Constant(str(section))]
                ):
                    if name in pages and not any(isinstance(taken, ast.Starred) for taken in names):
                        yield pages[name], section


def _pairs(node: ast.Assign) -> Iterator[tuple[ast.expr, ast.expr]]:
    (target,) = node.targets
    if isinstance(target, ast.Tuple) and isinstance(node.value, ast.Tuple):
        yield from zip(target.elts, node.value.elts, strict=True)
    else:
        yield target, node.value


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_is_run(page: Page) -> None:
    """Each block that a person would type is run by a test."""
    assert [block.text for block in page.blocks if is_command(block) and not is_run(page, block)] == []


@pytest.mark.parametrize(("place", "test"), RUN_BY.items())
def test_the_register_is_true(place: str, test: str) -> None:
    """What the register names is there: the page and its section, commands in it, and a test that names the page."""
    name, _, anchor = place.partition("#")
    blocks = [block for block in Page(name).blocks if is_command(block) and anchor in {"", block.anchor}]
    assert blocks
    source = (CHECKOUT / test).read_text()
    assert name.rpartition("/")[2] in source or name == "README.md"


@pytest.mark.parametrize("target", MADE_BY)
def test_targets_are_run(target: str) -> None:
    """What runs a target is there."""
    file, words = MADE_BY[target]
    assert words in (CHECKOUT / file).read_text()


@pytest.mark.parametrize(
    "text",
    [
        "```sh\nmake believe\n```",
        "```console\n$ aws s3 ls\n```",
        "```\nsam deploy\n```",
        "```sh\nmake demo\nrm -r .\n```",
    ],
)
def test_a_block_that_nobody_runs_is_found(text: str, tmp_path: Path) -> None:
    """A block that is in no register is found, however it is called."""
    (tmp_path / "page.md").write_text(f"# A page\n\n{text}\n")
    with pytest.raises(AssertionError):
        test_every_block_is_run(Page(str(tmp_path / "page.md")))


@pytest.mark.parametrize(
    ("test", "sections"),
    [
        ('PAGE = Page("a.md")\none, two = PAGE.commands("Do")', {("a.md", "Do")}),
        ('ONE, PAGE = Page("b.md"), Page("a.md")\n(one,) = PAGE.commands("Do")', {("a.md", "Do")}),
        ('PAGE = Page("a.md")\none, *_ = PAGE.commands("Do")', set()),
        ('PAGE = Page("a.md")\nPAGE.commands("Do")', set()),
    ],
)
def test_what_is_unpacked(test: str, sections: set[tuple[str, str]]) -> None:
    """A test runs a section whose blocks it takes one by one, and none of which it may leave one out."""
    assert set(_unpacked(test)) == sections
