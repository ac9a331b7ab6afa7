"""What a page names in backticks is there, and is called so."""

import ast
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types

from local.emulator import CHECKOUT
from retirement.databrain.ports import Metric
from retirement.outcomes import Outcome, Reason
from tests.docs.pages import Page

# Decisions are dated, and the changelog tells of what was: neither is rewritten when a name changes.
NOW = [page for page in Page.all() if not page.name.startswith(("docs/adr/", "CHANGELOG"))]

# What AWS and Powertools call things.
OF_OTHERS = {
    *("AccessDenied", "ApplicationLogLevel", "ColdStart", "ForAllValues", "NotVisible", "PutEvents"),
    *("ResourceInUseException", "TargetErrorCount", "TargetErrorThrottledCount"),
}

PATH = re.compile(r"[\w.-]+(?:/[\w.*{}-]+)+/?")
FILE = re.compile(r"[\w-]+\.(?:py|yaml|toml|mk)")
HUMPS = re.compile(r"(?:[A-Z][a-z0-9]+){2,}")
SNAKE = re.compile(r"[a-z0-9]+(?:_[a-z0-9]+)+")
MAKE = re.compile(r"(?m)^(?:\$ )?make ([a-z][a-z-]*)")
DEPLOY = re.compile(r"\bsam deploy\b((?:\\\n|[^\n])*)")
OVERRIDE = re.compile(r"""\b([A-Z]\w+)=("[^"]*"|'[^']*'|\S*)""")
FILLED_IN = re.compile(r"[$<]|[A-Z]{2,}-[A-Z]{2,}|\.\.\.")


@cache
def template() -> dict[str, dict[str, dict[str, object]]]:
    """The template as written."""
    decoded, errors = decode(str(CHECKOUT / "template.yaml"))
    assert not errors
    return dict(decoded)


@cache
def in_the_template() -> frozenset[str]:
    """Parameters, conditions, resources, outputs, and the metrics that alarms watch, with their namespaces."""
    sections = ("Parameters", "Conditions", "Resources", "Outputs")
    watched = re.findall(r"(?m)^ +(?:Namespace|MetricName): (\w+)", (CHECKOUT / "template.yaml").read_text())
    return frozenset([*watched, *(name for section in sections for name in template()[section])])


@cache
def in_the_code() -> frozenset[str]:
    """What our Python calls its modules, classes, functions and fields; and what the package writes, like metrics."""
    return frozenset(name for tree in ("layers", "functions", "local", "tools", "tests") for name in _names(tree))


def _names(tree: str) -> Iterator[str]:
    for path in (CHECKOUT / tree).rglob("*.py"):
        yield path.stem
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef | ast.FunctionDef):
                yield node.name
            elif isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
                yield node.target.id
            elif tree == "layers" and isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield node.value


@cache
def in_the_makefile() -> frozenset[str]:
    """The targets that a person calls."""
    return frozenset(re.findall(r"(?m)^([a-z-]+):.*## ", (CHECKOUT / "Makefile").read_text()))


@cache
def in_the_repository() -> frozenset[str]:
    """The folders and files at its top, and the name of every source file."""
    top = [entry.name for entry in CHECKOUT.iterdir() if entry.name not in {".venv", ".aws-sam", ".local"}]
    folders = [CHECKOUT / name for name in top if not name.startswith(".") and (CHECKOUT / name).is_dir()]
    return frozenset([*top, *(path.name for folder in folders for path in folder.rglob("*"))])


def exists(path: str) -> bool:
    """Whether there is such a file or folder; `*` and `{n}` stand for anything."""
    return any(CHECKOUT.glob(re.sub(r"\{\w+\}", "*", path.rstrip("/"))))


@pytest.mark.parametrize("page", Page.all(), ids=lambda page: page.name)
def test_paths(page: Page) -> None:
    """A path of the repository that is named in backticks exists, and so does a source file that is named alone."""
    paths = [span for span in page.spans if PATH.fullmatch(span) and (CHECKOUT / span.split("/")[0]).exists()]
    files = {span for span in page.spans if FILE.fullmatch(span)}
    assert [path for path in paths if not exists(path)] == []
    assert files - in_the_repository() == set()


@pytest.mark.parametrize("page", NOW, ids=lambda page: page.name)
def test_targets(page: Page) -> None:
    """Every `make` target that a page names is one that `make help` shows."""
    texts = [*page.spans, *(block.text for block in page.blocks)]
    named = {target for text in texts for target in MAKE.findall(text)}
    assert named - in_the_makefile() == set()


@pytest.mark.parametrize("page", NOW, ids=lambda page: page.name)
def test_names(page: Page) -> None:
    """A parameter, output, resource, alarm, metric or class that is named in backticks exists.

    Only names of two words can be told from anything else that stands in backticks.
    """
    named = {span for span in page.spans if HUMPS.fullmatch(span)}
    assert named - in_the_template() - in_the_code() - OF_OTHERS == set()


@pytest.mark.parametrize("page", NOW, ids=lambda page: page.name)
def test_words(page: Page) -> None:
    """An outcome or reason of two words that is named in backticks exists, and so does a name of Python's spelling."""
    named = {span for span in page.spans if SNAKE.fullmatch(span)}
    assert named - {*Outcome, *Reason} - in_the_code() == set()


@pytest.mark.parametrize("page", NOW, ids=lambda page: page.name)
def test_deployments(page: Page) -> None:
    """A command that deploys sets parameters that exist, to values that they take."""
    texts = [*page.spans, *(block.text for block in page.blocks)]
    for arguments in (arguments for text in texts for arguments in DEPLOY.findall(text)):
        for name, value in OVERRIDE.findall(arguments):
            parameter = template()["Parameters"][name]
            given = value.strip("\"'")
            if FILLED_IN.search(given):  # by who runs it
                continue
            assert given in parameter.get("AllowedValues", [given]), name  # type: ignore[operator]  # a list
            members = given.split(",") if parameter["Type"] == "CommaDelimitedList" else [given]
            assert all(re.fullmatch(str(parameter.get("AllowedPattern", ".*")), member) for member in members), name


@pytest.mark.parametrize("page", NOW, ids=lambda page: page.name)
def test_outputs(page: Page) -> None:
    """A command asks for outputs and resources that the template has."""
    text = "\n".join(block.text for block in page.blocks)
    outputs = {*re.findall(r"\$\(output (\w+)\)", text), *re.findall(r"OutputKey=='(\w+)'", text)}
    assert outputs - template()["Outputs"].keys() == set()
    resources = {*re.findall(r"--logical-resource-id (\w+)", text), *re.findall(r"\$\(resource (\w+)\)", text)}
    assert resources - template()["Resources"].keys() == set()


def test_every_outcome_is_told() -> None:
    """Every outcome, reason and metric stands on some page: whoever meets one finds what it means."""
    told = {word for page in NOW for span in page.spans for word in span.split()}
    assert {*map(str, Outcome), *map(str, Reason)} - told == set()
    assert {*map(str, Metric)} - told == set()


@pytest.mark.parametrize(
    ("check", "text"),
    [
        (test_paths, "`docs/unsafety.md`"),
        (test_paths, "`tests/stack/test_nothing.py`"),
        (test_paths, "`workflows.py`"),
        (test_targets, "`make believe`"),
        (test_targets, "```console\n$ make believe  # a target\n```"),
        (test_names, "`MaxRetirementsPerHour`"),
        (test_names, "`FailuresAlert`"),
        (test_words, "`databrain_gone`"),
        (test_deployments, "`sam deploy --parameter-overrides Mode=delete`"),
        (test_deployments, "```sh\nsam deploy \\\n  --parameter-overrides RetryDelays=1,2,3\n```"),
        (test_outputs, '```sh\necho "$(output EvidenceBucket)"\n```'),
        (test_outputs, "```sh\naws cloudformation describe-stack-resource --logical-resource-id Queue\n```"),
        (test_outputs, '```sh\necho "$(resource Queue)"\n```'),
    ],
)
def test_what_is_wrong_is_found(check: Callable[[Page], None], text: str, tmp_path: Path) -> None:
    """A name that there is not is found."""
    (tmp_path / "page.md").write_text(text)
    with pytest.raises(AssertionError):
        check(Page(str(tmp_path / "page.md")))


def test_an_unknown_parameter_is_found(tmp_path: Path) -> None:
    """A command that sets a parameter that there is not is found."""
    (tmp_path / "page.md").write_text("`sam deploy --parameter-overrides Modus=plan`")
    with pytest.raises(KeyError, match="Modus"):
        test_deployments(Page(str(tmp_path / "page.md")))
