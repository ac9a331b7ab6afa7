"""`make local`: run the embedded stack for your own events and show each result, until Ctrl-C."""

import contextlib
import json
import os
import secrets
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from shlex import quote

from rich.console import Console
from rich.markup import escape

from cli.contexts import Context, Emulated, forget_local, register_local
from local.databrain.organisation import Organisation
from local.databrain.reception import CONTROL
from local.databrain.seed import SAMPLE, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import CHECKOUT
from local.signals import end_as_by_ctrl_c
from local.stack import STACK_NAME, EmbeddedStack, PublishedResult, StackError

ENVIRONMENT_NAME = "prod"  # as in events/put-events.json
SAMPLE_NAME = "sales-analytics"  # there, too
UNUSED = "acme-trial"
SCHEDULED = "initech-trial"  # which the policy exempts
POLICY = Path("local", "sweep-policy.json")

# The program of this checkout, where it is not installed.
PROGRAM = (
    f"datamart() {{ PYTHONPATH={quote(f'{CHECKOUT}/layers/retirement/python:{CHECKOUT}')} "
    f'{quote(f"{CHECKOUT}/.venv/dev/bin/python")} -m cli "$@"; }}'
)


def main() -> int:
    """Run until Ctrl-C."""
    end_as_by_ctrl_c()
    console = Console(highlight=False, soft_wrap=True)
    seed = read_seed(SAMPLE)
    parameters = {
        "Mode": "retire",
        "EnvironmentName": ENVIRONMENT_NAME,
        "RetryDelays": "5,5,5,5,5",
        "MaxSweepPercent": "100",  # of very few datamarts, every one is a large percentage
    }
    webhook_secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    try:
        EmbeddedStack.refuse_another()
        console.print("Starting a local Databrain server and MiniStack, and deploying template.yaml there ...")
        with (
            serve(seed) as databrain,
            EmbeddedStack.start(
                databrain_url=databrain.url,
                service_token=seed["serviceToken"],
                webhook_secret=webhook_secret,
                sweep_policy=(CHECKOUT / POLICY).read_bytes(),
                parameters=parameters,
            ) as stack,
            stack.announced(),
            _registered(stack),
        ):
            _introduce(console, databrain)
            while True:
                for result in stack.results(wait_seconds=20):
                    subject, text = (
                        _printable(each, console.encoding) for each in (result.subject or "", line(result))
                    )
                    console.print(f"\n{subject}", style="bold", markup=False)
                    console.print(text, markup=False)
    except StackError as error:
        console.print("".join(traceback.format_exception_only(error)), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nStopped. Nothing is left running.")
    return 0


@contextlib.contextmanager
def _registered(stack: EmbeddedStack) -> Iterator[None]:
    """Let `datamart` work on this stack without anything pasted."""
    names = ("AWS_ENDPOINT_URL", "AWS_CA_BUNDLE", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")
    emulated = Emulated(*(stack.environment[name] for name in names))
    context = Context(STACK_NAME, region=stack.environment["AWS_DEFAULT_REGION"], emulated=emulated)
    register_local(context, os.environ)
    try:
        yield
    finally:
        forget_local(context, os.environ)


def line(published: PublishedResult) -> str:
    """A message of the topic in one line: a result, a sweep's report, or whatever else was published."""
    with contextlib.suppress(ValueError, RecursionError):
        match json.loads(published.message):
            case {"retirementId": about, "reason": reason, "message": message}:
                return f"{about or '(no retirementId)'}{f', {reason}' if reason else ''}: {message}"
            case {"sweepId": about, "refusal": refusal, "counts": {**counts}, "report": {"key": key}}:
                counted = ", ".join(f"{name} {count}" for name, count in counts.items() if count)
                return f"{about}, {refusal or counted}: the complete report is {key}"
    return published.message


def _printable(text: str, encoding: str) -> str:
    """The text, with escapes for the characters that the terminal cannot show."""
    return text.encode(encoding, "backslashreplace").decode(encoding)


def _introduce(console: Console, databrain: Databrain) -> None:
    console.print("The stack is running. datamart finds it by itself: install it with", style="bold", end="")
    console.print(" pipx install . [bold]or, in another terminal, enter[/]\n")
    console.print(f"  {PROGRAM}", markup=False)
    html = json.dumps([{"route": "list_datamarts", "fault": "html"}])
    faults = f"{databrain.url}{CONTROL}/faults"
    console.print(f"\nThe datamarts:\n  {_estate(databrain.organisation)}", markup=False)
    for what, command in (
        (f"See what {SAMPLE_NAME} would block: an embed uses it", f"datamart plan {SAMPLE_NAME}"),
        (f"Retire {UNUSED}", f'datamart retire {UNUSED} --id {UNUSED}-ends --reason "The trial ended"'),
        ("See what is on record", f"datamart status {UNUSED}-ends"),
        ("Bring it back", f"datamart restore {UNUSED}"),
        (
            "Schedule a retirement",
            f'datamart retire {SCHEDULED} --id {SCHEDULED}-ends --at "in 7 days" --reason "The trial ends"',
        ),
        ("Cancel that retirement", f'datamart cancel {SCHEDULED}-ends --reason "The customer stays"'),
        (f"Run a sweep with {POLICY}", "datamart sweep run --dry-run"),
        ("Send a request by webhook", f"datamart webhook send retire {UNUSED} --dry-run"),
        (
            "Break Databrain, and send a request: it is abandoned after half a minute",
            f"curl -X PUT {faults} -d '{html}'; datamart plan {UNUSED}; curl -X DELETE {faults}",
        ),
        ("Send the abandoned requests again", "datamart failures retry --all"),
        ("Look at everything", "datamart report --open"),
    ):
        console.print(f"\n{what}:\n  [bold]{escape(command)}[/]")
    console.print("\nResults appear here. Press Ctrl-C to stop the stack.", markup=False)


def _estate(organisation: Organisation) -> str:
    """The names of the datamarts, with a mark on those that an embed uses."""
    used = {embed.datamart for app in organisation.data_apps.values() for embed in app.embeds}
    return ", ".join(f"{name} (used by an embed)" if name in used else name for name in organisation.datamarts)


if __name__ == "__main__":
    sys.exit(main())
