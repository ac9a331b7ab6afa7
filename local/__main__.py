"""`make local`: the embedded stack, left running for one's own events; it shows each result, until Ctrl-C."""

import json
import secrets
import sys
import traceback
from base64 import b64encode
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from rich.console import Console
from rich.markup import escape

from local.databrain.organisation import Organisation
from local.databrain.reception import CONTROL
from local.databrain.seed import SAMPLE, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import CHECKOUT
from local.signals import end_as_by_ctrl_c
from local.stack import EmbeddedStack, StackError

ENVIRONMENT_NAME = "prod"  # as in events/put-events.json
SAMPLE_NAME = "sales-analytics"  # there, too
UNUSED = "acme-trial"


def main() -> int:
    """Run until Ctrl-C."""
    end_as_by_ctrl_c()
    console = Console(highlight=False, soft_wrap=True)
    seed = read_seed(SAMPLE)
    parameters = {
        "Mode": "retire",
        "EnvironmentName": ENVIRONMENT_NAME,
        "RetryDelays": "5,5,5,5,5",
    }
    webhook_secret = "whsec_" + b64encode(secrets.token_bytes(32)).decode()
    try:
        EmbeddedStack.refuse_another()
        console.print("Starting Databrain and MiniStack, and deploying template.yaml there with the SAM CLI ...")
        with (
            serve(seed) as databrain,
            EmbeddedStack.start(
                databrain_url=databrain.url,
                service_token=seed["serviceToken"],
                webhook_secret=webhook_secret,
                parameters=parameters,
            ) as stack,
            stack.announced(),
        ):
            _introduce(console, stack, databrain, webhook_secret)
            while True:
                for result in stack.results(wait_seconds=20):
                    console.print(f"\n{result.subject}", style="bold", markup=False)
                    console.print(_line(result.document), markup=False)
    except StackError as error:
        console.print("".join(traceback.format_exception_only(error)), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nEnded. Nothing is left running.")
    return 0


def _line(document: Mapping[str, Any]) -> str:
    """What a result says."""
    about = document["retirementId"] or "(no retirementId)"
    reason = f", {document['reason']}" if document["reason"] else ""
    return f"{about}{reason}: {document['message']}"


def _introduce(console: Console, stack: EmbeddedStack, databrain: Databrain, webhook_secret: str) -> None:
    console.print("Up. In another terminal, for the AWS CLI:\n", style="bold")
    console.print(f"  export PATH={CHECKOUT}/.venv/cli/bin:$PATH", markup=False)
    for name, value in stack.environment.items():
        if name.startswith("AWS_"):
            console.print(f"  export {name}={value}", markup=False)
    # Version 1 of the CLI does not take the endpoint of SQS from there (aws/aws-cli#8737).
    console.print('  aws() { command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"; }', markup=False)
    console.print(f"  export SSL_CERT_FILE=$AWS_CA_BUNDLE WEBHOOK_SECRET={webhook_secret}", markup=False)
    html = json.dumps([{"route": "list_datamarts", "fault": "html"}])
    faults = f"{databrain.url}{CONTROL}/faults"
    send = f".venv/dev/bin/python tools/send_webhook.py {stack.webhook_url}"
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).isoformat(timespec="seconds")
    console.print(f"\nThe datamarts:\n  {_estate(databrain.organisation)}", markup=False)
    for what, command in (
        (
            "Ask for a dry run of one that an embed uses: it would be blocked",
            "aws events put-events --entries file://events/put-events.json",
        ),
        (
            f"Ask for one of {UNUSED}: it would be deleted",
            _put(f"s/{SAMPLE_NAME}/{UNUSED}/; s/first-look/second-look/"),
        ),
        ("Retire it", _put(f"s/{SAMPLE_NAME}/{UNUSED}/; s/first-look/{UNUSED}-ends/; s/true/false/")),
        (
            "Ask for a retirement tomorrow; with another date, it is moved",
            f'aws events put-events --entries "$(sed s/RETIRE-AT/{tomorrow}/ events/put-scheduled.json)"',
        ),
        ("Cancel it", "aws events put-events --entries file://events/put-cancelled.json"),
        ("Ask by webhook", f"{send} datamart.retirement.requested events/webhooks/request.json"),
        (
            "Break Databrain, and ask: the request is given up after half a minute",
            f"curl -X PUT {faults} -d '{html}'\n  {_put('s/first-look/look-$(date +%s)/')}",
        ),
        ("Mend it", f"curl -X DELETE {faults}"),
        ("Send what was given up again", "make redrive"),
        ("Look at the evidence", f"aws s3 ls --recursive s3://{stack.outputs['EvidenceBucketName']}"),
        ("Make a page of it, report.html", "make report"),
    ):
        console.print(f"\n{what}:\n  [bold]{escape(command)}[/]")
    console.print("\nResults appear here. Ctrl-C ends it.")


def _estate(organisation: Organisation) -> str:
    """The names of the datamarts, those that an embed uses marked."""
    used = {embed.datamart for app in organisation.data_apps.values() for embed in app.embeds}
    return ", ".join(f"{name} (used by an embed)" if name in used else name for name in organisation.datamarts)


def _put(script: str) -> str:
    """A command that puts the sample on the bus, changed by sed."""
    return f'aws events put-events --entries "$(sed "{script}" events/put-events.json)"'


if __name__ == "__main__":
    sys.exit(main())
