"""Turns the policy's file into a valid policy, or into an error that names the field and the rule."""

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from aws_lambda_powertools.utilities.validation import SchemaValidationError, validate

from retirement.canonical import parse_json
from retirement.delivery.intake import explain, schema
from retirement.errors import ConfigurationError
from retirement.stored_object import OwnersFile
from retirement.sweeping.policy import SweepPolicy, SweepRule

# In all rules together: each glob is compared with the name of each datamart.
MAX_GLOBS = 1_000


def is_dry_run(event: object) -> bool:
    """Return whether an invocation is a dry run, whatever the policy says: its event is `{"dryRun": true}`."""
    return isinstance(event, dict) and event.get("dryRun") is True


def parse_policy(file: OwnersFile) -> SweepPolicy:
    """Validate the policy against its schema. It is a dry run unless it says otherwise.

    Raises:
        ConfigurationError: the message names the file, the field, the rule and what was found.
    """
    try:
        document = cast("dict[str, Any]", parse_json(file.body))
    except ValueError as error:
        raise ConfigurationError(f"{file.where} is not valid JSON: {error}") from None
    try:
        validate(event=document, schema=schema("Sweep Policy"))
    except SchemaValidationError as error:
        raise ConfigurationError(f"{file.where}: {explain(error, 'the policy')}") from None
    rules = tuple(_rule(rule) for rule in document["rules"])
    names = [rule.name for rule in rules]
    for number, name in enumerate(names):
        if name in names[:number]:
            raise ConfigurationError(f'{file.where}: rules.{number}.name is "{name}", and another rule has that name')
    globs = sum(len(rule.names) + len(rule.exempt) for rule in rules)
    if globs > MAX_GLOBS:
        raise ConfigurationError(
            f"{file.where}: rules must have at most {MAX_GLOBS:,} globs in names and exempt, and have {globs:,}"
        )
    return SweepPolicy(rules, document.get("dryRun", True))


def _rule(rule: Mapping[str, Any]) -> SweepRule:
    return SweepRule(
        name=rule["name"],
        owner=rule["owner"],
        reason=rule["reason"],
        names=_trimmed(rule["names"]),
        exempt=_trimmed(rule.get("exempt", ())),
        older_than=_days(rule["olderThan"]) if "olderThan" in rule else None,
        not_updated_for=_days(rule["notUpdatedFor"]) if "notUpdatedFor" in rule else None,
        without_embeds=rule.get("withoutEmbeds", False),
        retire_after=_days(rule["retireAfter"]),
    )


def _trimmed(globs: Sequence[str]) -> tuple[str, ...]:
    return tuple(glob.strip() for glob in globs)


def _days(text: str) -> timedelta:
    return timedelta(days=int(text.partition(" ")[0]))
