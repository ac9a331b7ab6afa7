"""A function's environment, variable by variable."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar
from urllib.parse import urlsplit

from retirement.errors import ConfigurationError
from retirement.requests import MOST_RECEIVES

_Choice = TypeVar("_Choice", bound=StrEnum)


# Seconds. SQS ends the invisibility of a message 12 hours after it was received (SQS developer guide, "Visibility
# timeout"), and Lambda may have held it for 360 s, the queue's visibility time-out, before the function had it, which
# then took its minute. The template says the same.
LONGEST_DELAY = 42_780


# What a shell, JSON or YAML puts around lists, and what is between lines: in a glob no owner can have meant it. Nor a
# set that has no end, for a comma cut it in two, nor one that is the whole glob: it matches names of one character.
_REFUSED = r"\x00-\x1f\x7f-\x9f\u2028\u2029;{}\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a"


_GLOB = re.compile(
    rf"(?!\s*\Z)(?!\s*\[[^\]]{{2,}}\]\s*\Z)(?:[^\[{_REFUSED}]|\[(?:![^{_REFUSED}]|[^!{_REFUSED}])[^\]{_REFUSED}]*\])+"
)


# Hours: a year. No retirement is scheduled farther ahead.
LONGEST_LEAD = 8_784


@dataclass(frozen=True, slots=True)
class S3Location:
    """Of an object: `s3://{bucket}/{key}`."""

    bucket: str
    key: str


def base_url(name: str, value: str) -> str:
    """Check the base URL that has this name; a slash at its end is cut.

    Raises:
        ConfigurationError: it is none, or would send the token in clear text.
    """
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"{name} is no URL") from None
    local = url.scheme == "http" and host in {"localhost", "127.0.0.1"}
    if not host or any(map(str.isspace, value)) or not (url.scheme == "https" or local):
        raise ConfigurationError(f"{name} must be an https URL, or http for localhost and 127.0.0.1 only")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigurationError(f"{name} must have no user, password, query or fragment")
    return value.rstrip("/")


def _text(environment: Mapping[str, str], name: str) -> str:
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"{name} is missing or empty: set it in the function's environment (see template.yaml)"
        )
    return value


def _given(environment: Mapping[str, str], name: str) -> str:
    """Empty or not."""
    if name not in environment:
        raise ConfigurationError(f"{name} is missing: set it in the function's environment (see template.yaml)")
    return environment[name]


def _choice(environment: Mapping[str, str], name: str, choices: type[_Choice]) -> _Choice:
    value = _text(environment, name)
    try:
        return choices(value)
    except ValueError:
        raise ConfigurationError(f"{name} is {value!r}: expected {' or '.join(choices)}") from None


def _boolean(environment: Mapping[str, str], name: str) -> bool:
    value = _text(environment, name)
    if value not in {"true", "false"}:
        raise ConfigurationError(f"{name} is {value!r}: expected true or false")
    return value == "true"


def _globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Comma-separated; empty is none at all.

    A list that came mangled would protect less than its owner meant: it is refused.
    """
    value = _given(environment, name).strip()
    globs = value.split(",") if value else []
    for glob in globs:
        if not _GLOB.fullmatch(glob):
            raise ConfigurationError(
                f"{name} is {value!r}, and {glob!r} is no glob: expected globs with commas in between, none empty, "
                "without quotes, semicolons, braces, line breaks and outer brackets; in a name `?` matches them"
            )
    return tuple(glob.strip() for glob in globs)


def _some_globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    _text(environment, name)
    return _globs(environment, name)


def _count(environment: Mapping[str, str], name: str) -> int:
    value = _text(environment, name)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name} is {value!r}: expected a whole number, 0 or more")
    return int(value)


def _delays(environment: Mapping[str, str], name: str) -> tuple[int, ...]:
    parts = [part.strip() for part in _text(environment, name).split(",")]
    delays = [int(part) for part in parts if part.isascii() and part.isdigit() and int(part) <= LONGEST_DELAY]
    if not len(parts) == len(delays) == MOST_RECEIVES - 1:
        raise ConfigurationError(
            f"{name} is {','.join(parts)!r}: expected {MOST_RECEIVES - 1} whole numbers of seconds, "
            f"0 to {LONGEST_DELAY}, with commas in between"
        )
    return tuple(delays)


def _hours(environment: Mapping[str, str], name: str) -> timedelta | None:
    """Empty is none."""
    value = _given(environment, name).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= LONGEST_LEAD):
        raise ConfigurationError(f"{name} is {value!r}: expected whole hours, 1 to {LONGEST_LEAD}, or nothing")
    return timedelta(hours=int(value))


def _s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """Empty is none."""
    value = environment.get(name, "").strip()
    return _location(name, value) if value else None


def _location(name: str, value: str) -> S3Location:
    scheme, _, path = value.partition("://")
    bucket, _, key = path.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ConfigurationError(f"{name} is {value!r}: expected s3://bucket/key, or nothing")
    return S3Location(bucket, key)


def _arn(environment: Mapping[str, str], name: str) -> str:
    value = _text(environment, name)
    if not value.startswith("arn:"):
        raise ConfigurationError(f"{name} must be a full ARN; what it is could be a secret and is not shown")
    return value


def _percent(environment: Mapping[str, str], name: str) -> int:
    value = _count(environment, name)
    if value > 100:  # noqa: PLR2004  # per cent
        raise ConfigurationError(f"{name} is {value}: expected a whole number, 0 to 100")
    return value


def _named_s3_location(environment: Mapping[str, str], name: str) -> S3Location:
    return _location(name, _text(environment, name))
