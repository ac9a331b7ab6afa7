"""A function's settings, read once from its environment: each is a parameter or a resource of template.yaml.

A field's name in capitals is its variable, and says how it is read: `mode: Mode = variable(choice(Mode))`.
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


# Seconds. SQS ends the invisibility of a message 12 hours after it was received (SQS developer guide, "Visibility
# timeout"), and Lambda may have held it for 360 s, the queue's visibility time-out, before the function had it, which
# then took its minute. The template says the same.
MAX_DELAY = 42_780


# What is between lines, and what a shell, JSON or YAML puts around lists: in a glob no owner can have meant it.
_LINE_ENDS = r"\x00-\x1f\x7f-\x9f\u2028\u2029"


_QUOTES = r";{}\"'`\u00ab\u00bb\u2018-\u201f\u2039\u203a"


# Hours: a year. No retirement is scheduled farther ahead.
MAX_LEAD = 8_784


@dataclass(frozen=True, slots=True)
class S3Location:
    """Of an object: `s3://{bucket}/{key}`."""

    bucket: str
    key: str


def variable(read: Callable[[Mapping[str, str], str], _Read]) -> _Read:
    """Return a dataclass's field that is read so from the variable of its name."""
    return cast("_Read", field(metadata={"read": read}))


def read_settings(kind: type[_Settings], environment: Mapping[str, str]) -> _Settings:
    """Read and check every variable of a dataclass of settings.

    Raises:
        ConfigurationError: one is missing, empty or wrong; the message names it.
    """
    return kind(**{each.name: each.metadata["read"](environment, each.name.upper()) for each in fields(kind)})  # type: ignore[arg-type]  # a dataclass


def url(environment: Mapping[str, str], name: str) -> str:
    """A base URL; raises as `base_url`."""
    return base_url(name, text(environment, name))


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


def is_glob(text: str, refused: str = rf"{_LINE_ENDS}\ud800-\udfff") -> bool:
    """Whether an owner can have meant it: `refused` are characters, by default those that no list in JSON needs.

    Nor is a set meant that has no end, for a comma cut it in two, nor one that is the whole glob: it matches names of
    one character.
    """
    one, first = f"[^\\[{refused}]", f"(?:![^{refused}]|[^!{refused}])"
    pattern = rf"(?!\s*\Z)(?!\s*\[[^\]]{{2,}}\]\s*\Z)(?:{one}|\[{first}[^\]{refused}]*\])+"
    return re.fullmatch(pattern, text) is not None


def text(environment: Mapping[str, str], name: str) -> str:
    """Not empty."""
    value = environment.get(name, "").strip()
    if not value:
        raise ConfigurationError(
            f"{name} is missing or empty: set it in the function's environment (see template.yaml)"
        )
    return value


def _defined(environment: Mapping[str, str], name: str) -> str:
    """Empty or not."""
    if name not in environment:
        raise ConfigurationError(f"{name} is missing: set it in the function's environment (see template.yaml)")
    return environment[name]


def choice(choices: type[_Choice]) -> Callable[[Mapping[str, str], str], _Choice]:
    """One of a closed set."""

    def read(environment: Mapping[str, str], name: str) -> _Choice:
        value = text(environment, name)
        try:
            return choices(value)
        except ValueError:
            raise ConfigurationError(f"{name} is {value!r}: expected {' or '.join(choices)}") from None

    return read


def boolean(environment: Mapping[str, str], name: str) -> bool:
    """`true` or `false`."""
    value = text(environment, name)
    if value not in {"true", "false"}:
        raise ConfigurationError(f"{name} is {value!r}: expected true or false")
    return value == "true"


def globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """Comma-separated; empty is none at all.

    A list that came mangled would protect less than its owner meant: it is refused.
    """
    value = _defined(environment, name).strip()
    globs = value.split(",") if value else []
    for glob in globs:
        if not is_glob(glob, refused=_LINE_ENDS + _QUOTES):
            raise ConfigurationError(
                f"{name} is {value!r}, and {glob!r} is no glob: expected globs with commas in between, none empty, "
                "without quotes, semicolons, braces, line breaks and outer brackets; in a name `?` matches them"
            )
    return tuple(glob.strip() for glob in globs)


def some_globs(environment: Mapping[str, str], name: str) -> tuple[str, ...]:
    """One or more of `globs`."""
    text(environment, name)
    return globs(environment, name)


def count(environment: Mapping[str, str], name: str) -> int:
    """A whole number, 0 or more."""
    value = text(environment, name)
    if not (value.isascii() and value.isdigit()):
        raise ConfigurationError(f"{name} is {value!r}: expected a whole number, 0 or more")
    return int(value)


def delays(environment: Mapping[str, str], name: str) -> tuple[int, ...]:
    """The seconds before receives 2 to 6."""
    parts = [part.strip() for part in text(environment, name).split(",")]
    delays = [int(part) for part in parts if part.isascii() and part.isdigit() and int(part) <= MAX_DELAY]
    if not len(parts) == len(delays) == MAX_RECEIVES - 1:
        raise ConfigurationError(
            f"{name} is {','.join(parts)!r}: expected {MAX_RECEIVES - 1} whole numbers of seconds, "
            f"0 to {MAX_DELAY}, with commas in between"
        )
    return tuple(delays)


def hours(environment: Mapping[str, str], name: str) -> timedelta | None:
    """Empty is none."""
    value = _defined(environment, name).strip()
    if not value:
        return None
    if not (value.isascii() and value.isdigit() and 0 < int(value) <= MAX_LEAD):
        raise ConfigurationError(f"{name} is {value!r}: expected whole hours, 1 to {MAX_LEAD}, or nothing")
    return timedelta(hours=int(value))


def optional_s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """Empty is none."""
    value = environment.get(name, "").strip()
    return _location(name, value) if value else None


def defined_s3_location(environment: Mapping[str, str], name: str) -> S3Location | None:
    """The same of a guard, whose variable has to be there."""
    _defined(environment, name)
    return optional_s3_location(environment, name)


def _location(name: str, value: str) -> S3Location:
    scheme, _, path = value.partition("://")
    bucket, _, key = path.partition("/")
    if scheme != "s3" or not bucket or not key:
        raise ConfigurationError(f"{name} is {value!r}: expected s3://bucket/key, or nothing")
    return S3Location(bucket, key)


def arn(environment: Mapping[str, str], name: str) -> str:
    """A full ARN."""
    value = text(environment, name)
    if not value.startswith("arn:"):
        raise ConfigurationError(f"{name} must be a full ARN; what it is could be a secret and is not shown")
    return value


def percent(environment: Mapping[str, str], name: str) -> int:
    """A whole number, 0 to 100."""
    value = count(environment, name)
    if value > 100:  # noqa: PLR2004  # per cent
        raise ConfigurationError(f"{name} is {value}: expected a whole number, 0 to 100")
    return value


def s3_location(environment: Mapping[str, str], name: str) -> S3Location:
    """Not empty."""
    return _location(name, text(environment, name))


@dataclass(frozen=True, kw_only=True)
class FunctionSettings:
    """The settings of every function."""

    environment_name: str = variable(text)
