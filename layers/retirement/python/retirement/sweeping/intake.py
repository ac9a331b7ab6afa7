"""Turns the policy's file into a valid policy, or into an error that names the field and the rule."""

import re
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any, cast

from aws_lambda_powertools.utilities.validation import SchemaValidationError, validate

from retirement.canonical import parse_json
from retirement.delivery.intake import REQUESTED, explain, schema
from retirement.errors import ConfigurationError
from retirement.stored_object import OwnersFile
from retirement.sweeping.policy import SweepPolicy, SweepRule

# In all rules together: each glob is compared with the name of each datamart.
MAX_GLOBS = 1_000


def is_dry_run(event: object) -> bool:
    """Return whether the event of an invocation asks for a dry run, whatever the policy says.

    Raises:
        ConfigurationError: its `dryRun` is neither true nor false.
    """
    asked = event.get("dryRun", False) if isinstance(event, Mapping) else False
    if not isinstance(asked, bool):
        raise ConfigurationError(f"dryRun in the event must be true or false, and is {asked!r}: nothing was requested")
    return asked


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


def parse_starter(event: object) -> str | None:
    """Return the person who starts a sweep, as the event of the invocation names them; None if it names nobody.

    Raises:
        ConfigurationError: the name cannot be that of a requester.
    """
    starter = event.get("requestedBy") if isinstance(event, Mapping) else None
    rule = schema(REQUESTED)["properties"]["detail"]["properties"]["startedBy"]
    if starter is not None and not (isinstance(starter, str) and re.fullmatch(rule["pattern"], starter)):
        raise ConfigurationError(f"requestedBy in the event that starts the sweep must be {rule['description']}")
    return starter


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
