from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from retirement.aws.service_token import ServiceToken
from retirement.errors import AwsCallFailed, ConfigurationError

ARN = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:databrain"
TOKEN = "9b1deb4d-3b7d-4bad-9bdd-2b0d7b3dcb6d"


class SecretsManager:
    """Answers each call with what `answer` makes."""

    def __init__(self, answer: Callable[[], object]) -> None:
        self.answer = answer
        self.asked: list[str] = []

    def get_secret_value(self, *, SecretId: str) -> object:  # noqa: N803  # boto3's name
        """The secret."""
        self.asked.append(SecretId)
        return self.answer()


def token_of(answer: Callable[[], object]) -> tuple[ServiceToken, SecretsManager]:
    """The adapter, and what it asks."""
    manager: Any = SecretsManager(answer)
    return ServiceToken(manager, ARN), manager


@pytest.mark.parametrize(
    "secret",
    [
        TOKEN,
        f"  {TOKEN}\n",
        f'{{"token": "{TOKEN}"}}',
        f'{{"other": 1, "token": " {TOKEN} "}}',
    ],
)
def test_forms(secret: str) -> None:
    """The secret is the token as plain text, or JSON with a key `token`; white space around it is no part of it."""
    token, manager = token_of(lambda: {"SecretString": secret})

    assert token.value() == TOKEN
    assert manager.asked == [ARN]


@pytest.mark.parametrize("secret", ["dbn_live_abc123...", "service_token_xyz", "12345678", "1e5", "true"])
def test_plain_text_that_looks_like_json(secret: str) -> None:
    """A token is not read as anything else because JSON has such a word."""
    token, _ = token_of(lambda: {"SecretString": secret})

    assert token.value() == secret


@pytest.mark.parametrize(
    "answer",
    [
        {},
        {"SecretBinary": b"x"},
        {"SecretString": ""},
        {"SecretString": " \n"},
        {"SecretString": "{}"},
        {"SecretString": '{"token": ""}'},
        {"SecretString": '{"token": null}'},
        {"SecretString": '{"token": 5}'},
        {"SecretString": '{"token": ["secret-word"]}'},
        {"SecretString": '{"Token": "secret-word"}'},
        {"SecretString": '{"token": "secret-word"'},
        {"SecretString": "secret-word and more"},
        {"SecretString": "secret-word\nsecret-word"},
        {"SecretString": "secret-wörd"},
        {"SecretString": "secret-word\x00"},
        {"SecretString": '{"token": "secret-word", "token": "secret-w0rd"}'},
        {"SecretString": '{"token": ' + "[" * 30_000},
        {"SecretString": '{"token":"secret-word","db_password":"secret-w0rd",}'},
        {"SecretString": '{"token":"secret-word","a":1,"a":2}'},
        {"SecretString": "{'token':'secret-word'}"},
        {"SecretString": "{token:secret-word}"},
        {"SecretString": '"secret-word"'},
        {"SecretString": '["secret-word"]'},
        {"SecretString": "TOKEN=secret-word"},
        {"SecretString": "TOKEN=secret-word="},
        {"SecretString": "user:secret-word"},
        {"SecretString": "Bearer secret-word"},
        {"SecretString": '{"token":"TOKEN=secret-word"}'},
        {"SecretString": '{"token":"{}secret-word"}'},
        {"SecretString": '{"token":"secret-word secret-word"}'},
    ],
    ids=lambda answer: str(answer)[:60],
)
def test_no_token(answer: object) -> None:
    """A secret without a usable token is a fault of the setting, which is named, and the secret is not repeated."""
    token, _ = token_of(lambda: answer)

    with pytest.raises(ConfigurationError, match=r"^ServiceTokenSecretArn: ") as raised:
        token.value()

    assert ARN in str(raised.value)
    assert "secret-w" not in f"{raised.value!r} {raised.value.__cause__!r} {raised.value.__context__!r}"


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", ConfigurationError),
        ("DecryptionFailure", ConfigurationError),
        ("InvalidParameterException", ConfigurationError),
        ("InvalidRequestException", ConfigurationError),
        ("ResourceNotFoundException", ConfigurationError),
        ("ThrottlingException", AwsCallFailed),
        ("InternalServiceError", AwsCallFailed),
    ],
)
def test_secret_cannot_be_read(code: str, error: type[Exception]) -> None:
    """What someone has to mend names the setting; anything else may pass."""

    def fail() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")

    token, _ = token_of(fail)

    with pytest.raises(error, match=f"ServiceTokenSecretArn: Secrets Manager answers {code} for {ARN}"):
        token.value()


def test_no_answer() -> None:
    """No answer may pass too."""

    def fail() -> None:
        raise ReadTimeoutError(endpoint_url="https://secretsmanager")

    token, _ = token_of(fail)

    with pytest.raises(AwsCallFailed, match="ReadTimeoutError"):
        token.value()


def test_kept_until_refused() -> None:
    """The token is read once, and again only when the very token that is kept was refused."""
    secrets = iter(["first", "second"])
    token, manager = token_of(lambda: {"SecretString": next(secrets)})

    assert [token.value(), token.value()] == ["first", "first"]
    token.drop("another")
    assert token.value() == "first"
    token.drop("first")
    token.drop("first")
    assert token.value() == "second"
    token.drop("first")
    assert token.value() == "second"
    assert len(manager.asked) == 2


def test_failure_is_not_kept() -> None:
    """After a failure the secret is read again."""
    answers: Any = iter([{}, {"SecretString": TOKEN}])
    token, _ = token_of(lambda: next(answers))

    with pytest.raises(ConfigurationError):
        token.value()
    assert token.value() == TOKEN


def test_threads() -> None:
    """Many threads that want the token at once read it once."""
    token, manager = token_of(lambda: {"SecretString": TOKEN})

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(lambda _: token.value(), range(64))) == {TOKEN}
    assert len(manager.asked) == 1


def test_never_shown() -> None:
    """The token is in no `repr`."""
    token, _ = token_of(lambda: {"SecretString": TOKEN})
    token.value()

    assert TOKEN not in repr(token)
