"""`make local`: run the embedded stack for your own events and show each result, until Ctrl-C."""

import contextlib
import json
import os
import secrets
import sys
import traceback
from base64 import b64encode
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
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
from local.stack import SAM, STACK_NAME, SWEEP_POLICY_URI, EmbeddedStack, PublishedResult, StackError

ENVIRONMENT_NAME = "prod"  # as in events/put-events.json
SAMPLE_NAME = "sales-analytics"  # there, too
UNUSED = "acme-trial"
POLICY = Path("local", "sweep-policy.json")

OUTPUT = (
    'output() { aws cloudformation describe-stacks --stack-name "$STACK" '
    "--query \"Stacks[0].Outputs[?OutputKey=='$1'].OutputValue\" --output text; }"
)
NOT_HERE = """All commands in the documentation work here, except for these, which the emulator does not support:
  aws sqs start-message-move-task, list-message-move-tasks: use make redrive
  aws logs filter-log-events --filter-pattern: the pattern is ignored, and every line is shown"""


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
            _introduce(console, stack, databrain, webhook_secret)
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


def _introduce(console: Console, stack: EmbeddedStack, databrain: Databrain, webhook_secret: str) -> None:
    console.print("The stack is running. To use the AWS CLI, enter these lines in another terminal:\n", style="bold")
    console.print(f"  export PATH={quote(f'{CHECKOUT}/.venv/cli/bin:{SAM.parent}')}:$PATH", markup=False)
    console.print("  export NO_PROXY=127.0.0.1 no_proxy=127.0.0.1", markup=False)
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            console.print(f"  export {name}={quote(value)}", markup=False)
    # Version 1 of the CLI does not take the endpoint of SQS from there (aws/aws-cli#8737).
    console.print('  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }', markup=False)
    # As each page of the documentation begins.
    console.print(f"  STACK={STACK_NAME}\n  {OUTPUT}", markup=False)
    console.print(f"  export SSL_CERT_FILE=$AWS_CA_BUNDLE WEBHOOK_SECRET={webhook_secret}", markup=False)
    html = json.dumps([{"route": "list_datamarts", "fault": "html"}])
    faults = f"{databrain.url}{CONTROL}/faults"
    send = '.venv/dev/bin/python tools/send_webhook.py "$(output WebhookUrl)"'
    sweep = (
        'aws lambda invoke --function-name "$(output SweepFunctionName)" --cli-read-timeout 0 '
        "--query FunctionError --output text report.json | grep -qx None"
    )
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    console.print(f"\nThe datamarts:\n  {_estate(databrain.organisation)}", markup=False)
    for what, command in (
        (
            f"Request a dry run for {SAMPLE_NAME}, which an embed uses: it would be blocked",
            "aws events put-events --entries file://events/put-events.json",
        ),
        (
            f"Request a dry run for {UNUSED}, which no embed uses: it would be deleted",
            _put(f"s/{SAMPLE_NAME}/{UNUSED}/; s/first-look/second-look/"),
        ),
        (f"Retire {UNUSED}", _put(f"s/{SAMPLE_NAME}/{UNUSED}/; s/first-look/{UNUSED}-ends/; s/true/false/")),
        (
            "Schedule a retirement for tomorrow; send it again with another date to move it",
            f'aws events put-events --entries "$(sed s/RETIRE-AT/{tomorrow}/ events/put-scheduled.json)"',
        ),
        ("Cancel that retirement", "aws events put-events --entries file://events/put-cancelled.json"),
        ("Send a request by webhook", f"{send} datamart.retirement.requested events/webhooks/request.json"),
        (f"Run a sweep with {POLICY}, which is a dry run", sweep),
        ("Run that sweep for real", f"sed s/true/false/ {POLICY} | aws s3 cp - {SWEEP_POLICY_URI}\n  {sweep}"),
        (
            "Break Databrain and send a request: it is abandoned after half a minute",
            f"curl -X PUT {faults} -d '{html}'\n  {_put('s/first-look/look-$(date +%s)/')}",
        ),
        ("Repair Databrain", f"curl -X DELETE {faults}"),
        ("Redrive the abandoned requests", "make redrive"),
        ("List the evidence", f"aws s3 ls --recursive s3://{stack.outputs['EvidenceBucketName']}"),
        ("Write a page about the evidence, report.html", "make report"),
    ):
        console.print(f"\n{what}:\n  [bold]{escape(command)}[/]")
    console.print(f"\n{NOT_HERE}\n\nResults appear here. Press Ctrl-C to stop the stack.", markup=False)


def _estate(organisation: Organisation) -> str:
    """The names of the datamarts, with a mark on those that an embed uses."""
    used = {embed.datamart for app in organisation.data_apps.values() for embed in app.embeds}
    return ", ".join(f"{name} (used by an embed)" if name in used else name for name in organisation.datamarts)


def _put(script: str) -> str:
    """A command that sends the sample event to the bus, edited by sed."""
    return f'aws events put-events --entries "$(sed "{script}" events/put-events.json)"'


if __name__ == "__main__":
    sys.exit(main())
