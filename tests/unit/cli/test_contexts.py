"""Which stack a command works on."""

from pathlib import Path

import pytest

from cli.contexts import (
    Context,
    Emulated,
    Stored,
    forget_local,
    register_local,
    resolve,
    running_local,
    store,
    stored,
    with_current,
)
from cli.errors import UsageError

LOCAL = Context(
    "datamart-retirement", region="eu-central-1", emulated=Emulated("https://127.0.0.1:1", "ca", "id", "key")
)
PROD = Context("retirements", "prod", "eu-west-1")


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    """Nothing is set."""
    return {"XDG_CONFIG_HOME": str(tmp_path)}


def test_nothing_is_chosen(environment: dict[str, str]) -> None:
    """Without a choice, it says how to make one."""
    with pytest.raises(UsageError, match="no stack is chosen: name one with --stack or DATAMART_STACK"):
        resolve(None, None, None, environment)


@pytest.mark.parametrize(
    ("options", "variables", "expected"),
    [
        (("given", "a", "b"), {"DATAMART_STACK": "set", "AWS_PROFILE": "p"}, Context("given", "a", "b")),
        (
            (None, None, None),
            {"DATAMART_STACK": "set", "AWS_PROFILE": "p", "AWS_REGION": "r"},
            Context("set", "p", "r"),
        ),
        ((None, None, None), {"DATAMART_STACK": "set", "AWS_DEFAULT_REGION": "r"}, Context("set", None, "r")),
        ((None, None, None), {}, PROD),
        ((None, None, "b"), {}, Context("retirements", "prod", "b")),
        ((None, None, None), {"AWS_PROFILE": "p", "AWS_REGION": "r"}, Context("retirements", "p", "r")),
        (("prod", None, None), {"AWS_PROFILE": "p"}, PROD),
        ((None, None, None), {"DATAMART_STACK": "prod", "AWS_REGION": "r"}, PROD),
    ],
)
def test_precedence(
    environment: dict[str, str],
    options: tuple[str | None, str | None, str | None],
    variables: dict[str, str],
    expected: Context,
) -> None:
    """Options come first, then the environment, then what is stored; a context that is named brings its own along."""
    store(with_current(Stored(), "prod", PROD), environment)
    assert resolve(*options, environment | variables) == expected


def test_local(environment: dict[str, str]) -> None:
    """A running `make local` is the context local, used if nothing else is chosen, and gone when it ends."""
    register_local(LOCAL, environment)
    assert resolve(None, None, None, environment) == LOCAL
    assert resolve("local", None, None, environment) == LOCAL
    with pytest.raises(UsageError, match="takes neither --profile nor --region"):
        resolve("local", "p", None, environment)
    assert resolve("another", None, None, environment).stack == "another"

    forget_local(PROD, environment)
    assert running_local(environment) == LOCAL
    forget_local(LOCAL, environment)
    with pytest.raises(UsageError, match="no local stack is running: start one with make local"):
        resolve("local", None, None, environment)


def test_a_context_is_replaced(environment: dict[str, str]) -> None:
    """Contexts are stored by name, and one is current."""
    store(with_current(Stored(), "prod", PROD), environment)
    store(with_current(stored(environment), "dev", Context("dev")), environment)
    assert resolve(None, None, None, environment) == Context("dev")
    store(with_current(stored(environment), "prod", None), environment)
    assert resolve(None, None, None, environment) == PROD
    store(with_current(stored(environment), "gone", None), environment)
    with pytest.raises(UsageError, match="current context gone is not stored"):
        resolve(None, None, None, environment)


@pytest.mark.parametrize(
    "text", ["", "[]", "{", '{"current": null}', '{"current": "a", "contexts": {"a": {"stack": 7}}}']
)
def test_a_damaged_file(environment: dict[str, str], tmp_path: Path, text: str) -> None:
    """What `datamart use` did not write is named."""
    (tmp_path / "datamart").mkdir()
    (tmp_path / "datamart" / "contexts.json").write_text(text)
    with pytest.raises(UsageError, match=r"contexts\.json is not what datamart use writes"):
        resolve(None, None, None, environment)
    (tmp_path / "datamart" / "local.json").write_text(text)
    assert running_local(environment) is None


@pytest.mark.parametrize(
    ("context", "text"),
    [
        (LOCAL, "datamart-retirement (local)"),
        (PROD, "retirements (profile prod, region eu-west-1)"),
        (Context("a"), "a"),
    ],
)
def test_how_a_question_names_it(context: Context, text: str) -> None:
    """A question says which stack is meant."""
    assert str(context) == text
