"""Checks JSON against the schemas in this folder and says in words what is wrong with it."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import fastjsonschema

JsonObject: TypeAlias = dict[str, Any]

SCHEMAS = Path(__file__).with_name("schemas")


class InvalidInputError(ValueError):
    """A seed, a datamart or a fault rule is not what it should be; the message names the field and the rule."""


def schema(name: str) -> JsonObject:
    """Return the schema `schemas/<name>.json`."""
    loaded: JsonObject = json.loads((SCHEMAS / f"{name}.json").read_text(encoding="utf-8"))
    return loaded


def compiled(rules: JsonObject) -> Callable[..., Any]:
    """Return fastjsonschema's validator for a schema, which may refer to another one of this folder by its file."""
    validate: Callable[..., Any] = fastjsonschema.compile(
        rules, handlers={"": lambda file: schema(file.removesuffix(".json"))}
    )
    return validate


class Checker:
    """Checks values against one schema."""

    def __init__(self, rules: JsonObject) -> None:
        self._validate = compiled(rules)

    def __call__(self, given: Any, called: str) -> Any:  # noqa: ANN401 - any JSON
        """Return a copy of `given` with the schema's defaults; raises `InvalidInputError`, which names it `called`."""
        try:
            return self._validate(copy.deepcopy(given), name_prefix=called)
        except fastjsonschema.JsonSchemaValueException as error:
            raise InvalidInputError(error.message) from error
