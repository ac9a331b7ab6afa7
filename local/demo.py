"""The main job on this machine: a dry run and a real request, each from the bus to the results topic.

Everything that is shown is checked, too: `make demo` fails where the stack does not do what it says.
"""

import hashlib
import json
import signal
import sys
import time
import traceback
from collections.abc import Mapping
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from local.databrain.organisation import Datamart
from local.databrain.seed import SAMPLE, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.stack import EmbeddedStack, EvidenceObject, PublishedResult, StackError

DATAMART = "acme-trial"
DRY_RUN = {
    "datamartName": DATAMART,
    "environment": "dev",
    "requestedBy": "make demo",
    "reason": "the trial of Acme has ended",
    "retirementId": "demo-dry-run",
    "dryRun": True,
}
RETIREMENT = {**DRY_RUN, "retirementId": "demo-retirement", "dryRun": False}


class DemoFailed(Exception):
    """What was shown is not what the product promises."""


def main() -> int:
    """Run the demo; the exit status says whether every check held."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # any end of ours ends the processes, too
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    started = time.monotonic()
    seed = read_seed(SAMPLE)
    try:
        console.print("Starting Databrain and MiniStack, and deploying template.yaml there with the SAM CLI ...")
        with (
            serve(seed) as databrain,
            EmbeddedStack.start(
                databrain_url=databrain.url, service_token=seed["serviceToken"], parameters={"Mode": "retire"}
            ) as stack,
        ):
            console.print(f"Up after {time.monotonic() - started:.1f} s, in mode `retire`.")
            demonstrate(console, databrain, stack)
    except (DemoFailed, StackError) as error:
        console.print("\nThe demo failed.", style="bold red")
        console.print("".join(traceback.format_exception_only(error)), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. Nothing is left running.", style="bold red")
        return 130
    console.print(
        f"\nEverything held, in {time.monotonic() - started:.1f} s. Nothing is left running.", style="bold green"
    )
    return 0


def demonstrate(console: Console, databrain: Databrain, stack: EmbeddedStack) -> None:
    """Show the main job, and check each thing that is shown.

    Raises:
        DemoFailed: something is not as it should be.
    """
    before = dict(databrain.organisation.datamarts)
    _show_datamarts(console, "Datamarts before", before)

    _begin(console, "1. A dry run: what would happen?")
    planned = _request(console, stack, DRY_RUN)
    _check(console, "it says what would happen", (planned["outcome"], planned["reason"]), ("planned", "dry_run"))
    _check(console, "the datamarts are as they were", databrain.organisation.datamarts, before)
    _check(console, "Databrain was only read", {request["method"] for request in databrain.requests}, {"GET"})

    _begin(console, "2. The real request")
    deleted = _request(console, stack, RETIREMENT)
    _check(console, "it was carried out", (deleted["outcome"], deleted["confirmedBy"]), ("deleted", "response"))
    deletions = [request["query"] for request in databrain.requests if request["method"] == "DELETE"]
    _check(console, "one deletion was sent", deletions, [{"datamartName": DATAMART}])

    _begin(console, "3. What is kept in S3")
    evidence = stack.evidence()
    _show_evidence(console, evidence)
    kept = f"retirements/{DATAMART}/{RETIREMENT['retirementId']}/"
    files = {key.removeprefix(kept).split("-")[0] for key in evidence if key.startswith(kept)}
    _check(console, "backup, intent and receipt are there", files, {"backup", "intent.json", "receipt.json"})
    receipt = evidence[f"{kept}receipt.json"].document
    _check(console, "the receipt is the published result", receipt, deleted)
    backup = evidence[deleted["backup"]["key"]]
    _check(console, "the backup is whole", hashlib.sha256(backup.body).hexdigest(), deleted["backup"]["sha256"])
    _show_backup(console, backup.document)

    after = dict(databrain.organisation.datamarts)
    _show_datamarts(console, "Datamarts after", after)
    left = {name: datamart for name, datamart in before.items() if name != DATAMART}
    _check(console, f"{DATAMART} is gone, all others are as they were", after, left)


def _begin(console: Console, title: str) -> None:
    console.print()
    console.rule(f"[bold]{title}", align="left")


def _request(console: Console, stack: EmbeddedStack, detail: Mapping[str, Any]) -> dict[str, Any]:
    """Put one request on the bus, and show it and the result that SNS delivers."""
    console.print("\nThe request, put on the event bus:", style="bold")
    console.print_json(data=detail)
    asked = time.monotonic()
    stack.put_event(detail)
    result = stack.next_result(retirement_id=detail["retirementId"])
    _show_result(console, result, time.monotonic() - asked)
    return result.document


def _show_result(console: Console, result: PublishedResult, seconds: float) -> None:
    console.print(f"\nThe result, as SNS delivers it {seconds:.1f} s later:", style="bold")
    console.print(f"Subject:    {escape(str(result.subject))}")
    console.print(f"Attributes: {escape(json.dumps(result.attributes, ensure_ascii=False))}")
    console.print_json(result.message)


def _show_datamarts(console: Console, title: str, datamarts: Mapping[str, Datamart]) -> None:
    table = Table("name", "created", "datasource", "tables", title=title, title_justify="left")
    for datamart in datamarts.values():
        configuration = datamart.configuration
        tables = ", ".join(table["tableName"] for table in configuration["datamartTables"])
        datasource = configuration["companyIntegration"]["name"]
        table.add_row(*map(escape, (datamart.name, datamart.created_at, datasource, tables)))
    console.print()
    console.print(table)


def _show_evidence(console: Console, evidence: Mapping[str, EvidenceObject]) -> None:
    table = Table("key", "bytes", title="Objects in the evidence bucket", title_justify="left")
    table.columns[0].overflow = "fold"
    table.columns[1].justify = "right"
    for key, stored in evidence.items():
        table.add_row(escape(key), str(len(stored.body)))
    console.print()
    console.print(table)


def _show_backup(console: Console, backup: Mapping[str, Any]) -> None:
    console.print("\nA look into the backup, as far as a line goes:", style="bold")
    for name, part in backup.items():
        line = f"{name}: {json.dumps(part, ensure_ascii=False)}"
        console.print(line, markup=False, no_wrap=True, overflow="ellipsis")
    console.print("\nWhat it does not bring back:", style="bold")
    for loss in backup["notRestored"]:
        console.print(f"- {escape(loss)}")


def _check(console: Console, promise: str, found: object, expected: object) -> None:
    if found != expected:
        raise DemoFailed(f"{promise}: expected {expected!r}, found {found!r}")
    console.print(f"checked: {escape(promise)}", style="green")


if __name__ == "__main__":
    sys.exit(main())
