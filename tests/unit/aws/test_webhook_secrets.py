import traceback
from base64 import b64encode, urlsafe_b64encode
from collections.abc import Callable
from datetime import timedelta
from json import dumps

import pytest
from botocore.exceptions import ClientError, ReadTimeoutError

from retirement.aws.webhook_secrets import MAX_AGE, MIN_AGE
from retirement.errors import AwsCallFailed, ConfigurationError, RetirementError
from tests.contract.rotated_secret import RotatedSecret
from tests.fakes import START

ONE = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
OTHER = "whsec_C2FVsBQIhrscChlQIMV+b5sSYspob7oD"
BARE = b64encode(bytes(range(32))).decode()


def read_from(text: str) -> tuple[str, ...]:
    """The secrets in a secret with this text."""
    return RotatedSecret(text).webhook_secrets().known(START)


def failing(secret: RotatedSecret, code: str) -> None:
    """Let Secrets Manager answer with this error from now on."""

    def fail() -> None:
        raise ClientError({"Error": {"Code": code, "Message": "no"}}, "GetSecretValue")

    secret.before_read = fail


@pytest.mark.parametrize(
    ("text", "secrets"),
    [
        (ONE, (ONE,)),
        (f"  {ONE}\n", (ONE,)),
        (f"{ONE}\n{OTHER}\r\n", (ONE, OTHER)),
        (f"{ONE} {OTHER}\t{BARE}", (ONE, OTHER, BARE)),
        (BARE.rstrip("="), (BARE.rstrip("="),)),
        (dumps({"secrets": [ONE]}), (ONE,)),
        (dumps({"secrets": [f" {ONE}\n", OTHER], "kept by": "the platform team"}, indent=2), (ONE, OTHER)),
        ("1234" * 8, ("1234" * 8,)),
    ],
)
def test_forms(text: str, secrets: tuple[str, ...]) -> None:
    """The secret is one or more as plain text or in a JSON list, each with or without prefix and padding."""
    assert read_from(text) == secrets


@pytest.mark.parametrize(
    "text",
    [
        "",
        " \n",
        "{}",
        "[]",
        dumps([ONE]),
        dumps(ONE),
        dumps({"secret": ONE}),
        dumps({"secrets": ONE}),
        dumps({"secrets": []}),
        dumps({"secrets": [""]}),
        dumps({"secrets": [ONE, " "]}),
        dumps({"secrets": [ONE, None]}),
        dumps({"secrets": [ONE, 7]}),
        dumps({"secrets": [[ONE]]}),
        f'{{"secrets": ["{ONE}"], "secrets": ["{OTHER}"]}}',
        f'{{"secrets": ["{ONE}"]',
        '{"secrets": ' + "[" * 30_000,
        "whsec_",
        "whsec_====",
        f"{ONE} whsec_",
        f"{ONE},{OTHER}",
        f"{ONE};{OTHER}",
        f"{ONE}!",
        f"{ONE[:-4]}ü===",
        "not base64, but a sentence that is long enough",
        "whsec_" + b64encode(b"23 bytes are too little").decode(),
        "whsec_" + urlsafe_b64encode(b"\xff" * 24).decode(),
        "whpk_" + b64encode(bytes(32)).decode(),
    ],
    ids=lambda text: text[:40],
)
def test_no_secret(text: str) -> None:
    """None at all, an empty one, a short one or one that is no base64 among others: none is used, and none is shown."""
    with pytest.raises(
        ConfigurationError, match=r"^WebhookSecretArn: the secret arn:\S+ must contain one or more"
    ) as told:
        read_from(text)

    shown = "".join(traceback.format_exception(told.value)) + repr(told.value.__context__)
    assert not [secret for secret in (ONE, OTHER) if secret.removeprefix("whsec_") in shown]


def test_bytes() -> None:
    """A secret of bytes holds none."""
    secret = RotatedSecret(ONE)
    secret.get_secret_value = lambda SecretId: {"ARN": SecretId, "SecretBinary": ONE}  # type: ignore[method-assign]  # noqa: N803  # another answer

    with pytest.raises(ConfigurationError, match="must contain one or more"):
        secret.webhook_secrets().known(START)


def test_read_once() -> None:
    """It is read once, and kept."""
    secret = RotatedSecret(ONE)
    secrets = secret.webhook_secrets()

    for seconds in range(0, 300, 10):
        assert secrets.known(START + timedelta(seconds=seconds)) == (ONE,)
    assert secret.reads == 1


def test_read_again_when_old() -> None:
    """Five minutes after it was read it is read again: what was taken out of it verifies nothing any more."""
    assert MAX_AGE.total_seconds() == 5 * 60
    secret = RotatedSecret(f"{ONE} {OTHER}")
    secrets = secret.webhook_secrets()
    secrets.known(START)
    secret.value = OTHER

    assert secrets.known(START + MAX_AGE - timedelta(seconds=1)) == (ONE, OTHER)
    assert secrets.known(START + MAX_AGE) == (OTHER,)


def test_read_again_on_demand() -> None:
    """On demand it is read again at once, but not more than once in ten seconds, and then counts as new."""
    assert MIN_AGE.total_seconds() == 10
    secret = RotatedSecret(ONE)
    secrets = secret.webhook_secrets()
    secrets.known(START)
    secret.value = f"{ONE} {OTHER}"

    assert secrets.latest(START + timedelta(seconds=9)) == (ONE,)
    assert secrets.latest(START + MIN_AGE) == (ONE, OTHER)
    for milliseconds in range(1000):
        assert secrets.latest(START + MIN_AGE + timedelta(milliseconds=milliseconds)) == (ONE, OTHER)
    assert secrets.known(START + MAX_AGE) == (ONE, OTHER)
    assert secret.reads == 2


@pytest.mark.parametrize(
    ("code", "error"),
    [
        ("AccessDeniedException", ConfigurationError),
        ("DecryptionFailure", ConfigurationError),
        ("InvalidRequestException", ConfigurationError),
        ("ResourceNotFoundException", ConfigurationError),
        ("ThrottlingException", AwsCallFailed),
        ("InternalServiceError", AwsCallFailed),
    ],
)
def test_cannot_be_read(code: str, error: type[RetirementError]) -> None:
    """What someone has to mend names the setting and what to look at; anything else may pass."""
    secret = RotatedSecret(ONE)
    failing(secret, code)

    with pytest.raises(error, match=f"^WebhookSecretArn: Secrets Manager answers {code} for arn:") as raised:
        secret.webhook_secrets().known(START)

    assert str(raised.value).endswith(": check the ARN and the role") == (error is ConfigurationError)


def test_no_answer() -> None:
    """No answer may pass too."""
    secret = RotatedSecret(ONE)

    def fail() -> None:
        raise ReadTimeoutError(endpoint_url="https://secretsmanager")

    secret.before_read = fail

    with pytest.raises(AwsCallFailed, match="ReadTimeoutError"):
        secret.webhook_secrets().known(START)


def mistake(secret: RotatedSecret) -> None:
    """Somebody empties the secret."""
    secret.value = ""


def lockout(secret: RotatedSecret) -> None:
    """Somebody takes the permission away."""
    failing(secret, "AccessDeniedException")


def outage(secret: RotatedSecret) -> None:
    """Secrets Manager answers nobody."""
    failing(secret, "InternalServiceError")


@pytest.mark.parametrize("trouble", [mistake, lockout, outage])
def test_a_failure_is_not_asked_for_again_at_once(trouble: Callable[[RotatedSecret], None]) -> None:
    """A failure is told to everybody for ten seconds, and asked for once; then all may be well again."""
    secret = RotatedSecret(ONE)
    trouble(secret)
    failure, reads = secret.before_read, 0

    def count() -> None:
        nonlocal reads
        reads += 1
        failure()

    secret.before_read = count
    secrets = secret.webhook_secrets()

    for seconds in range(10):
        for question in (secrets.known, secrets.latest):
            with pytest.raises(RetirementError, match=r"^WebhookSecretArn: ") as raised:
                question(START + timedelta(seconds=seconds))
            assert len(traceback.extract_tb(raised.tb)) < 8
    assert reads == 1

    secret.value, secret.before_read = ONE, lambda: None
    assert secrets.known(START + MIN_AGE) == (ONE,)


def test_an_outage_leaves_what_is_kept() -> None:
    """While Secrets Manager does not answer, what is kept goes on to be known until it is old."""
    secret = RotatedSecret(ONE)
    secrets = secret.webhook_secrets()
    secrets.known(START)
    outage(secret)

    with pytest.raises(AwsCallFailed):
        secrets.latest(START + MIN_AGE)
    assert secrets.known(START + MIN_AGE) == (ONE,)
    with pytest.raises(AwsCallFailed):
        secrets.known(START + MAX_AGE)


@pytest.mark.parametrize("trouble", [mistake, lockout])
def test_what_somebody_did_counts_at_once(trouble: Callable[[RotatedSecret], None]) -> None:
    """As soon as it is seen that the secret is not to be used any more, what was kept is not used either."""
    secret = RotatedSecret(ONE)
    secrets = secret.webhook_secrets()
    secrets.known(START)
    trouble(secret)

    for question in (secrets.latest, secrets.known):
        with pytest.raises(ConfigurationError):
            question(START + MIN_AGE)


def test_it_shows_none() -> None:
    """What holds the secrets does not show them when it is printed."""
    secrets = RotatedSecret(ONE).webhook_secrets()
    secrets.known(START)

    assert ONE.removeprefix("whsec_") not in f"{secrets!r} {secrets} {[secrets]!r} {vars(secrets)['_secret']!r}"
