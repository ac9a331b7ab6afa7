"""The template in two forms: as written, and as CloudFormation gets it from SAM."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode import decode  # type: ignore[import-untyped]  # ships no types
from samtranslator.translator.transform import transform  # type: ignore[import-untyped]  # the same
from samtranslator.yaml_helper import yaml_parse  # type: ignore[import-untyped]  # the same

CHECKOUT = Path(__file__).parents[2]
TEMPLATE = CHECKOUT / "template.yaml"

Node = dict[str, Any]


class _NoManagedPolicies:
    """The template names none by name only, so SAM has none to look up in an account."""

    def load(self) -> dict[str, str]:
        return {}


@pytest.fixture(scope="session")
def written() -> Node:
    """The template as written, its short forms (!Ref) spelt out."""
    template, errors = decode(str(TEMPLATE))
    assert not errors
    return dict(template)


@pytest.fixture(scope="session")
def deployed() -> Iterator[Node]:
    """The template as SAM's own translator hands it to CloudFormation."""
    template = yaml_parse(TEMPLATE.read_text())
    for resource in template["Resources"].values():
        for source in {"CodeUri", "ContentUri"} & resource.get("Properties", {}).keys():
            resource["Properties"][source] = "s3://artifacts/built"  # as `sam deploy` does
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_DEFAULT_REGION", "eu-central-1")
        yield transform(template, {}, _NoManagedPolicies())


@pytest.fixture(scope="session")
def of_type(deployed: Node) -> Callable[[str], dict[str, Node]]:
    """All deployed resources of a type, by logical id."""

    def select(resource_type: str) -> dict[str, Node]:
        return {name: resource for name, resource in deployed["Resources"].items() if resource["Type"] == resource_type}

    return select


@pytest.fixture(scope="session")
def properties(deployed: Node) -> Callable[[str], Node]:
    """The properties of a deployed resource."""

    def get(logical_id: str) -> Node:
        found: Node = deployed["Resources"][logical_id]["Properties"]
        return found

    return get
