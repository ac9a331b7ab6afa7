"""A person's shell on the embedded stack, to follow the commands of a page with bash and the AWS CLI."""

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from tests.stack.scene import JsonObject

SHELL_SECONDS = 120

# `aws sqs` of the AWS CLI's first version takes no other endpoint (https://github.com/aws/aws-cli/issues/8737).
PREAMBLE = 'set -euo pipefail; aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }'

# Nearly every block asks for the names of the stack's parts, which stay as they are: each such command is run once.
REMEMBER = """aws() {
  case "$1 $2" in
    "cloudformation describe-stacks" | "cloudformation describe-stack-resource")
      local answer="$ANSWERS/${*//[^[:alnum:]]/}" part="$ANSWERS/$BASHPID"
      if [[ ! -e "$answer" ]]; then
        command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@" > "$part" || return
        mv "$part" "$answer"
      fi
      cat "$answer" ;;
    *) command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@" ;;
  esac
}"""

# Where the stack is deployed already: what would be deployed is shown.
SHOW_DEPLOYMENT = 'sam() { [[ "$1 $2" = "deploy --parameter-overrides" ]] && printf "%s\\n" "${@:3}"; }'

# What MiniStack does not have, and what it says then. The commands are right as far as the CLI and the ARNs go.
NOT_ON_MINISTACK = {
    "start-message-move-task": "(InvalidAction) when calling the StartMessageMoveTask operation",
    "list-message-move-tasks": "(InvalidAction) when calling the ListMessageMoveTasks operation",
}


@dataclass(frozen=True)
class Shell:
    """A person's shell, whose only AWS is the embedded stack; it remembers names in `ANSWERS`, if that is set."""

    environment: dict[str, str]
    folder: Path
    opened: float = field(default_factory=time.time)

    def run(self, *blocks: str, **placeholders: str) -> str:
        """Run blocks one after the other and return what they print; RETIREMENT_ID="..." fills RETIREMENT-ID in."""
        finished = self._bash(*blocks, **placeholders)
        assert finished.returncode == 0, finished.stderr
        return finished.stdout

    def told(self, *blocks: str, **placeholders: str) -> Any:  # noqa: ANN401 -- any JSON
        """Run blocks that print one JSON document."""
        return json.loads(self.run(*blocks, **placeholders))

    def logged(self, *blocks: str, **placeholders: str) -> list[JsonObject]:
        """Run blocks that print the function's log, and return what their filter pattern leaves of it on AWS.

        What was logged before the shell was opened is left out: blocks reach back by whole seconds.
        """
        (pattern,) = re.findall(r"'({ .* })'", filled_in(blocks[-1], placeholders))
        lines = [json.loads(line) for line in self.run(*blocks, **placeholders).splitlines() if line.startswith("{")]
        return [line for line in lines if selects(pattern, line) and _logged_at(line) >= self.opened]

    def refused(self, *blocks: str) -> str:
        """Run blocks whose last command MiniStack does not have, and return that command with its arguments."""
        finished = self._bash("set -x", *blocks)
        assert finished.returncode != 0
        *_, command = re.findall(r"^\+ command aws --endpoint-url \S+ sqs (.*)$", finished.stderr, re.MULTILINE)
        assert NOT_ON_MINISTACK[command.split()[0]] in finished.stderr
        return str(command)

    def _bash(self, *blocks: str, **placeholders: str) -> "subprocess.CompletedProcess[str]":
        preamble = [PREAMBLE, REMEMBER] if "ANSWERS" in self.environment else [PREAMBLE]
        script = filled_in("\n".join([*preamble, *blocks]), placeholders)
        # MiniStack shows the first 10,000 lines of a day and has no token for more. A busy machine runs `date` late.
        script = script.replace("$(date +%s) - 86400", f"{self.opened:.0f} - 1")
        return subprocess.run(  # noqa: S603 -- our own pages
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SHELL_SECONDS,
            check=False,
        )


def commands(page: Path) -> list[str]:
    """Every command block of a page, in order."""
    return re.findall(r"^```sh\n(.*?)^```$", page.read_text(), re.DOTALL | re.MULTILINE)


def filled_in(text: str, placeholders: dict[str, str]) -> str:
    """Put values in the place of RETIREMENT-ID and the like."""
    for name, value in placeholders.items():
        placeholder = name.replace("_", "-")
        assert placeholder in text
        text = text.replace(placeholder, value)
    return text


def _logged_at(line: JsonObject) -> float:
    return datetime.fromisoformat(line["timestamp"].replace(",", ".")).timestamp()


def selects(pattern: str, line: JsonObject) -> bool:
    """CloudWatch's filter patterns for JSON, as far as the pages use them (its user guide, FilterAndPatternSyntax)."""
    for term in pattern.removeprefix("{ ").removesuffix(" }").split(" && "):
        parsed = re.fullmatch(r'\$\.(?P<field>\w+) (= "(?P<text>[^"]*)"|IS (?P<truth>TRUE|FALSE))', term)
        assert parsed
        if line.get(parsed["field"]) != (parsed["truth"] == "TRUE" if parsed["truth"] else parsed["text"]):
            return False
    return True
