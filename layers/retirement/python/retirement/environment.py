"""The settings of a function, which it reads once from its environment. template.yaml sets every variable.

A settings class is a dataclass. A field's name in capitals is its variable, and its default says how to parse it:
`mode: Mode = variable(choice(Mode))`. Every parser takes the environment and the variable's name, and raises
`ConfigurationError` with that name.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from datetime import timedelta
from enum import StrEnum
from typing import TypeVar, cast
from urllib.parse import urlsplit

from retirement.errors import ConfigurationError
from retirement.requests import MAX_RECEIVES

_Choice = TypeVar("_Choice", bound=StrEnum)
_Read = TypeVar("_Read")
_Settings = TypeVar("_Settings")


# Seconds. SQS ends a message's invisibility 12 hours after it was received (SQS developer guide, "Visibility timeout").
# Before the function starts, Lambda may have held the message for 360 s, the queue's visibility time-out, and the
# function itself takes up to 60 s. The template sets the same limit.
MAX_DELAY = 42_780

# Hours: a year, the farthest that a retirement can be scheduled ahead.
MAX_LEAD = 8_784

# The stack's own sources of requests (template.yaml).
OWN_SOURCES = ("datamart-retirement.webhook", "datamart-retirement.sweep")

# Characters that are only in a glob if a list was pasted with its line breaks, or with the syntax of a shell, JSON or
# YAML.
_LINE_ENDS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"
_QUOTES = r";{}\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a"


@dataclass(frozen=True, slots=True)
class S3Location:
    """The location of an object: `s3://{bucket}/{key}`."""

    bucket: str
    key: str


def variable(read: Callable[[Mapping[str, str], str], _Read]) -> _Read:
    """Return a dataclass field that is parsed from the variable of its name by `read`."""
    return cast("_Read", field(metadata={"read": read}))


def read_settings(kind: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    """Parse every variable of a settings class.

    Raises:
        ConfigurationError: a variable is missing, empty or wrong; the message names it.
    """
    return kind(**{each.name: each.metadata["read"](environment, each.name.upper()) for each in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def url(environment: Mapping[str, str], name: str) -> str:
    """Parse a base URL, as `base_url` does."""
    return base_url(name, text(environment, name))


def base_url(name: str, value: str) -> str:
    """Check a base URL, and cut a slash at its end; `name` names it in messages.

    Raises:
        ConfigurationError: the value is not a URL, or the token would be sent in clear text.
    """
    try:
        url = urlsplit(value)
        host, _ = url.hostname, url.port
    except ValueError:
        raise ConfigurationError(f"{name} is not a URL") from None
    local = url.scheme == "http" and host in {"localhost", "127.0.0.1"}
    if not host or any(map(str.isspace, value)) or not (url.scheme == "https" or local):
        raise ConfigurationError(f"{name} must be an https URL, or http for localhost and 127.0.0.1 only")
    if url.username or url.password or url.query or url.fragment:
        raise ConfigurationError(f"{name} must have no user, password, query or fragment")
    return value.rstrip("/")


def is_glob(text: str, refused: str = rf"{_LINE_ENDS}\ud800-\udfff") -> bool:
    """Return whether an owner can have meant this glob.

    A set without its `]` was probably cut at a comma, and a set that is the whole glob matches only one character.

    Args:
        text: the glob.
        refused: a character class for `re`; by default it has the characters that a list in JSON does not need either.
    """
    one, first = f"[^\\[{refused}]", f"(?:![^{refused}]|[^!{refused}])"
    pattern = rf"(?!\s*\Z)(?!\s*\[[^\]]{{2,}}\]\s*\Z)(?:{one}|\[{first}[^\]{refused}]*\])+"
    return re.fullmatch(pattern, text) is not None


def text(environment: Mapping[str, str], name: str) -> str:
    """Return a text that is not empty."""
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"{name} is missing or empty: set it in the function's environment (see template.yaml)"
        )
    return value


def _defined(environment: Mapping[str, str], name: str) -> str:
    """Return the text of a variable that has to be defined but may be empty."""
    if name not in environment:
        raise ConfigurationError(f"{name} is missing: set it in the function's environment (see template.yaml)")
    return environment[name]


def choice(choices: type[_Choice]) -> Callable[[Mapping[str, str], str], _Choice]:
    """Return a parser for one of these choices."""

    def read(environment: Mapping[str, str], name: str) -> _Choice:
        value = text(environment, name)
        try:
            return choices(value)
        except ValueError:
            raise ConfigurationError(f"{name} is {value!r}: expected {' or '.join(choices)}") from None

    return read


def boolean(environment: Mapping[str, str], name: str) -> bool:
    """Parse `true` or `false`."""
    value = text(environment, name)
    if value not in {"true", "false"}:
        raise ConfigurationError(f"{name} is {value!r}: expected true or false")
    return value == "true"


def globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Parse a comma-separated list of globs, which may be empty.

    A malformed list is refused, because it would protect less than its owner meant.
    """
    value = _defined(environment, name).strip()
    globs = value.split(",") if value else []
    for glob in globs:
        if not is_glob(glob, refused=_LINE_ENDS + _QUOTES):
            raise ConfigurationError(
                f"{name} is {value!r}, and {glob!r} is not a valid glob: separate globs with commas, and use no empty "
                "globs, quotes, semicolons, braces, line breaks or outer brackets; match these in a name with `?`"
            )
    return tuple(glob.strip() for glob in globs)


def some_globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Parse a comma-separated list of one or more globs."""
    text(environment, name)
    return globs(environment, name)


def count(environment: Mapping[str, str], name: str) -> int:
    """Parse a whole number, 0 or more."""
    value = text(environment, name)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name} is {value!r}: expected a whole number, 0 or more")
    return int(value)


def delays(environment: Mapping[str, str], name: str) -> tuple[int, ...]:
    """Parse the comma-separated delays before receives 2 to 6, in seconds."""
    parts = [part.strip() for part in text(environment, name).split(",")]
    delays = [int(part) for part in parts if part.isascii() and part.isdigit() and int(part) <= MAX_DELAY]
    if not len(parts) == len(delays) == MAX_RECEIVES - 1:
        raise ConfigurationError(
            f"{name} is {','.join(parts)!r}: expected {MAX_RECEIVES - 1} whole numbers of seconds, "
            f"0 to {MAX_DELAY}, separated by commas"
        )
    return tuple(delays)


def hours(environment: Mapping[str, str], name: str) -> timedelta | None:
    """Parse whole hours, 1 to `MAX_LEAD`; None if the variable is empty."""
    value = _defined(environment, name).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= MAX_LEAD):
        raise ConfigurationError(f"{name} is {value!r}: expected whole hours, 1 to {MAX_LEAD}, or an empty value")
    return timedelta(hours=int(value))


def optional_s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """Parse `s3://bucket/key`; None if the variable is empty or missing."""
    value = environment.get(name, "").strip()
    return _location(name, value) if value else None


def defined_s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """Parse `s3://bucket/key`; None if the variable is empty. A guard's variable has to be defined."""
    _defined(environment, name)
    return optional_s3_location(environment, name)


def _location(name: str, value: str) -> S3Location:
    scheme, _, path = value.partition("://")
    bucket, _, key = path.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ConfigurationError(f"{name} is {value!r}: expected s3://bucket/key")
    return S3Location(bucket, key)


def arn(environment: Mapping[str, str], name: str) -> str:
    """Parse a full ARN."""
    value = text(environment, name)
    if not value.startswith("arn:"):
        raise ConfigurationError(f"{name} must be a full ARN; its value is not shown, because it could be a secret")
    return value


def approval_sources(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Parse the comma-separated event sources that approvals come from; none if no approval is required.

    A source that requests come from, too, is refused, because whoever may request could approve.
    """
    value = _defined(environment, name).strip()
    if not value:
        return ()
    sources = tuple(source.strip() for source in value.split(","))
    if "" in sources:
        raise ConfigurationError(
            f"{name} is {value!r}: expected event sources, separated by commas, none of them empty"
        )
    requesting = {source.strip() for source in text(environment, "EVENT_SOURCES").split(",")}.union(OWN_SOURCES)
    both = sorted(requesting.intersection(sources))
    if both:
        raise ConfigurationError(f"{name} has {', '.join(both)}, and requests come from there, too: use another source")
    return sources


def approvals(environment: Mapping[str, str], name: str) -> int:
    """Parse how many people have to approve: 0, 1, 2 or 3."""
    value = text(environment, name)
    if value not in {"0", "1", "2", "3"}:
        raise ConfigurationError(f"{name} is {value!r}: expected 0, 1, 2 or 3")
    return int(value)


def days(environment: Mapping[str, str], name: str) -> timedelta:
    """Parse a whole number of days, 1 or more."""
    value = count(environment, name)
    if value == 0:
        raise ConfigurationError(f"{name} is 0: expected a whole number of days, 1 or more")
    return timedelta(days=value)


def percent(environment: Mapping[str, str], name: str) -> int:
    """Parse a whole number, 0 to 100."""
    value = count(environment, name)
    if value > 100:  # noqa: PLR2004  # per cent
        raise ConfigurationError(f"{name} is {value}: expected a whole number, 0 to 100")
    return value


def s3_location(environment: Mapping[str, str], name: str) -> S3Location:
    """Parse `s3://bucket/key`."""
    return _location(name, text(environment, name))


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """The settings of every function."""

    environment_name: str = variable(text)
