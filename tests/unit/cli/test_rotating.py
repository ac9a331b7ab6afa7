"""The secret of the webhook, as a person rotates it."""

import json
from contextlib import nullcontext
from types import SimpleNamespace

import pytest

from cli.contexts import Context
from cli.errors import Refused
from cli.output import Output
from cli.session import Session
from cli.webhook import rotate

SECRET = f"whsec_{'A' * 43}="


def session_with(text: str, stored: list[str]) -> Session:
    """A run on a stack that has no more than this secret."""
    client = SimpleNamespace(
        get_secret_value=lambda **_: {"SecretString": text},
        put_secret_value=lambda **given: stored.append(given["SecretString"]),
    )
    stack = SimpleNamespace(
        secretsmanager=client, calls=nullcontext, output=lambda *_: "https://", parameter=lambda _: "arn"
    )
    session = Session(Output(as_json=False), None, None, None)
    session.__dict__.update(stack=stack, context=Context("retirements"))
    return session


@pytest.mark.parametrize("text", [f"{SECRET}\nwhsec_typo!", f"# ours\n{SECRET}", json.dumps({"secrets": [SECRET, 5]})])
@pytest.mark.parametrize("finish", [False, True])
def test_a_secret_that_is_not_valid(text: str, finish: bool) -> None:  # noqa: FBT001  # a parameter
    """Beside one that is not valid, the stack accepts none, but a valid one is not thrown away."""
    stored: list[str] = []

    with pytest.raises(Refused, match="nothing was changed: correct it first"):
        rotate(finish=finish, yes=True, session=session_with(text, stored))

    assert stored == []


def test_what_else_the_secret_has() -> None:
    """A secret is added beside what else the JSON has."""
    stored: list[str] = []

    rotate(yes=True, session=session_with(json.dumps({"owner": "growth", "secrets": [SECRET]}), stored))

    changed = json.loads(stored[0])
    assert (changed["owner"], changed["secrets"][0], len(changed["secrets"])) == ("growth", SECRET, 2)
