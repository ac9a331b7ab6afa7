"""`datamart`, run against the stack of the stack tests, in this process."""

import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from cli.main import run
from local.stack import STACK_NAME, EmbeddedStack
from tests.stack.scene import JsonObject, check_schema

SCHEMAS = Path(__file__).parents[2] / "cli" / "schemas"


@dataclass(frozen=True)
class Finished:
    """What one run came to."""

    status: int
    out: str
    err: str

    @property
    def documents(self) -> list[JsonObject]:
        """What `--json` wrote, a document a line."""
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """Runs command lines as an administrator, or with other variables."""

    def __init__(self, variables: Mapping[str, str], capsys: pytest.CaptureFixture[str]) -> None:
        self._variables = variables
        self._capsys = capsys

    def __call__(self, *arguments: str, **variables: str) -> Finished:
        """Run one command line."""
        with pytest.MonkeyPatch.context() as patch:
            for name in [each for each in os.environ if each.startswith(("AWS_", "DATAMART_", "WEBHOOK_"))]:
                patch.delenv(name)
            for name, value in {**self._variables, **variables}.items():
                patch.setenv(name, value)
            for module in ("stopping", "waiting"):  # the emulated stack answers faster than AWS
                patch.setattr(f"cli.{module}.POLL", 0.1)
            self._capsys.readouterr()
            status = run(arguments)
        captured = self._capsys.readouterr()
        assert "Traceback" not in captured.err
        return Finished(int(status), captured.out, captured.err)

    def json(self, schema: str, *arguments: str, status: int = 0) -> list[JsonObject]:
        """Run with `--json`: everything on stdout is a document of the schema (`result`: the contract's)."""
        finished = self(*arguments, "--json")
        assert finished.status == status, finished.err
        check: Any = check_schema if schema == "result" else compiled(schema)
        for document in finished.documents:
            check(document)
        return finished.documents


def compiled(schema: str) -> Any:  # noqa: ANN401  # a function that fastjsonschema makes
    """The check of a schema of the command line's."""
    return fastjsonschema.compile(json.loads((SCHEMAS / f"{schema}.json").read_text()))


def variables(stack: EmbeddedStack, folder: Path) -> dict[str, str]:
    """What a person has set who works on the stack."""
    account = {name: value for name, value in stack.environment.items() if name.startswith(("AWS_", "SSL_"))}
    return account | {
        "DATAMART_STACK": STACK_NAME,
        "XDG_CONFIG_HOME": str(folder),
        "HOME": str(folder),
        "NO_PROXY": "127.0.0.1",
        "AWS_EC2_METADATA_DISABLED": "true",
    }
