"""The main use case on this machine: several datamarts, and nine chapters from a dry run to a restore.

Everything runs on the template that is deployed to AWS. Each statement is checked: `make demo` fails if the stack does
not do what the text says.
"""

import argparse
import hashlib
import secrets
import ssl
import sys
import time
import traceback
from base64 import b64encode
from collections.abc import Mapping
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from http import HTTPStatus
from operator import itemgetter
from pathlib import Path
from typing import Any

import httpx
from rich.console import Console

from cli.report import write_report
from cli.webhook import post
from local.databrain.organisation import Organisation
from local.databrain.seed import SAMPLE, read_seed
from local.databrain.server import serve
from local.databrain.state import Databrain
from local.signals import end_as_by_ctrl_c
from local.stack import EmbeddedStack, StackError
from local.storyteller import Storyteller
from retirement.delivery.intake import APPROVED, REQUESTED, RESTORE_REQUESTED

Detail = Mapping[str, Any]

TRIAL = "acme-trial"
ASKED: Detail = {
    "datamartName": TRIAL,
    "environment": "dev",
    "requestedBy": "make demo",
    "reason": "the trial of Acme has ended",
}


# A datamart that an embed uses.
USED = "sales-analytics"

# Another one, which is deleted with its embed.
TICKETS = "support-tickets"

# Other datamarts that no embed uses, each for one chapter.
OTHERS = ("product-usage-2023", "globex-trial", "initech-trial")


# The event source of approvals.
APPROVERS = "approvals"


class DemoFailed(Exception):
    """The stack did not do what the product promises."""


class Demo:
    """The chapters, in order; each begins with the datamarts that the previous one left."""

    def __init__(self, teller: Storyteller, databrain: Databrain, stack: EmbeddedStack, webhook_secret: str) -> None:
        self._teller = teller
        self._databrain = databrain
        self._stack = stack
        self._webhook_secret = webhook_secret

    def tell(self) -> None:
        """Run all chapters.

        Raises:
            DemoFailed: a check failed.
        """
        teller, before = self._teller, dict(self._databrain.organisation.datamarts)
        teller.estate("The datamarts before", self._databrain.organisation)
        plan_id = self._dry_run()
        self._retirement(plan_id)
        self._blocked()
        self._rejected()
        self._lost_answer()
        self._scheduled()
        self._webhook()
        self._approval()
        self._restore()
        teller.estate("The datamarts after", self._databrain.organisation)
        gone = sorted(before.keys() - self._databrain.organisation.datamarts.keys())
        self._check("five datamarts were deleted, each on request", gone, sorted([TRIAL, TICKETS, *OTHERS]))
        sent = [
            request["query"]["datamartName"] for request in self._databrain.requests if request["method"] == "DELETE"
        ]
        self._check("one delete was sent for each, and for what was restored", sorted(sent), sorted([*gone, USED]))
        teller.summary()

    # ---- The chapters ----------------------------------------------------------------------------------------------

    def _dry_run(self) -> str:
        before = dict(self._databrain.organisation.datamarts)
        self._teller.chapter(
            "A dry run", "A dry run decides like a real run, reports what would happen, and changes nothing."
        )
        planned = self._ask({**ASKED, "retirementId": "dry-run", "dryRun": True})
        self._check("the result says what would happen", _end(planned), ("planned", "dry_run"))
        self._check(
            "Databrain received only reads", {request["method"] for request in self._databrain.requests}, {"GET"}
        )
        self._check("nothing changed", dict(self._databrain.organisation.datamarts), before)
        (key,) = self._stack.evidence("plans/")
        self._teller.plan(key, self._stack.evidence(key)[key].document)
        return str(planned["planId"])

    def _retirement(self, plan_id: str) -> None:
        self._teller.chapter(
            "The real request",
            "The request names the plan of the dry run: exactly this plan is carried out, or nothing.",
        )
        deleted = self._ask({**ASKED, "retirementId": "retirement", "planId": plan_id}, in_full=True)
        self._check("the datamart was deleted", (deleted["outcome"], deleted["confirmedBy"]), ("deleted", "response"))
        prefix, folder = f"retirements/{TRIAL}/retirement/", f"backups/{TRIAL}/retirement/"
        evidence = self._stack.evidence(folder) | self._stack.evidence(prefix)
        files = {key.rpartition("/")[2].split("-")[0] for key in evidence}
        self._check("backup, intent and receipt are stored", files, {"backup", "intent.json", "receipt.json"})
        self._check("the receipt is equal to the result", evidence[f"{prefix}receipt.json"].document, deleted)
        backup = evidence[deleted["backup"]["key"]]
        self._check(
            "the backup has the hash that the result names",
            hashlib.sha256(backup.body).hexdigest(),
            deleted["backup"]["sha256"],
        )
        self._teller.kept(evidence)
        self._teller.backup(backup.document)

    def _blocked(self) -> None:
        self._teller.chapter(
            "An embed uses it", "The request is blocked, because the deletion would break a customer's dashboard."
        )
        asked = {"datamartName": USED, "reason": "a new model", "retirementId": "in-use"}
        blocked = self._ask({**ASKED, **asked})
        self._check("the request is blocked", _end(blocked), ("blocked", "dependents_found"))
        found = [embed["embedId"] for embed in blocked["dependents"]["found"]]
        self._check("the result names the embed", found, ["portal-sales-overview"])

    def _rejected(self) -> None:
        self._teller.chapter("A typing error", "An unknown field is an error, so a misspelt dryRun deletes nothing.")
        named = {"datamartName": TICKETS, "reason": "only a look", "retirementId": "slip"}
        slip = {**ASKED, **named, "dryRum": True}
        rejected = self._ask(slip)
        self._check("the request is rejected", _end(rejected), ("rejected", "invalid_request"))
        self._check("the result names the field", "dryRum" in rejected["message"], expected=True)

    def _lost_answer(self) -> None:
        self._teller.chapter(
            "A lost response",
            "The connection breaks before Databrain confirms the deletion. A new list shows what happened.",
        )
        self._databrain.faults.replace([{"route": "delete_datamart", "fault": "lost_answer", "times": 1}])
        named = {"datamartName": OTHERS[0], "reason": "two years old", "retirementId": "lost-answer"}
        deleted = self._ask({**ASKED, **named})
        self._check(
            "the deletion is confirmed by the datamart's absence",
            (deleted["outcome"], deleted["confirmedBy"]),
            ("deleted", "absence"),
        )

    def _scheduled(self) -> None:
        self._teller.chapter("A date", "A request with a date is stored until then. It can be moved or cancelled.")
        detail = {**ASKED, "datamartName": OTHERS[1], "reason": "the trial ends tomorrow", "retirementId": "later"}
        tomorrow, soon = (datetime.now(UTC) + timedelta(seconds=seconds) for seconds in (86_400, 4))
        scheduled = self._ask({**detail, "retireAt": tomorrow.isoformat(timespec="seconds")})
        self._check("the retirement is scheduled for tomorrow", _end(scheduled), ("scheduled", None))
        self._teller.say("The same request with another retireAt moves the date, here to a few seconds from now.")
        deleted = self._ask({**detail, "retireAt": soon.isoformat(timespec="seconds")})
        self._check("the datamart was deleted when the date was due", deleted["outcome"], "deleted")
        early = datetime.fromisoformat(deleted["startedAt"]) < soon.replace(microsecond=0)
        self._check("and not earlier", early, expected=False)

    def _webhook(self) -> None:
        self._teller.chapter(
            "A webhook", "A system outside AWS sends its request as a signed webhook (Standard Webhooks)."
        )
        detail = {**ASKED, "datamartName": OTHERS[2], "reason": "the customer has left", "retirementId": "webhook"}
        forged = self._send(detail, "whsec_" + b64encode(b"another secret").decode(), "with another secret")
        self._check("a message with another signature is refused", forged, HTTPStatus.UNAUTHORIZED)
        asked = datetime.now(UTC)
        taken = self._send(detail, self._webhook_secret, "with the stack's secret")
        self._check("a message with the stack's signature is accepted", taken, HTTPStatus.ACCEPTED)
        deleted = self._result("webhook", asked)
        self._check("it is processed like any other request", deleted["outcome"], "deleted")

    def _approval(self) -> None:
        self._teller.chapter(
            "A second person",
            "The stack can require an approval. Then one person requests a deletion, another allows it.",
        )
        retirement = {"datamartName": TICKETS, "environment": "dev", "retirementId": "approval"}
        with self._stack.requiring(1):
            waits = self._ask(
                {**ASKED, **retirement, "reason": "tickets have moved to another tool", "dependents": "ignore"}
            )
            self._check("the request awaits approval", _end(waits), ("awaiting_approval", None))
            self._check("nothing was deleted", TICKETS in self._databrain.organisation.datamarts, expected=True)
            approval = {**retirement, "planId": waits["planId"], "reason": "reviewed"}
            own = self._approve({**approval, "approvedBy": ASKED["requestedBy"]})
            self._check("the requester cannot approve it", _end(own), ("rejected", "own_request"))
            answer = self._approve({**approval, "approvedBy": "a colleague"})
            end = self._result("approval", datetime.now(UTC))
            # two functions publish them, in either order
            approved, deleted = sorted((answer, end), key=itemgetter("outcome"))
            self._check("a colleague can", (approved["outcome"], approved["approvalsMissing"]), ("approved", 0))
            self._check("the datamart was deleted", deleted["outcome"], "deleted")
            self._check("exactly as in the plan that was approved", deleted["planId"], waits["planId"])

    def _restore(self) -> None:
        self._teller.chapter(
            "It comes back",
            "A datamart is deleted although an embed uses it. A restore creates both again from the backup.",
        )
        organisation = self._databrain.organisation
        before = organisation.datamarts[USED]
        asked = {"datamartName": USED, "reason": "a new model", "retirementId": "mistake"}
        deleted = self._ask({**ASKED, **asked, "dependents": "ignore"})
        self._check("the datamart was deleted", deleted["outcome"], "deleted")
        self._check("and its embed with it", _embeds_of(organisation, USED), [])
        asked = {**asked, "reason": "that was a mistake", "restoreId": "undo"}
        restored = self._ask({**ASKED, **asked}, detail_type=RESTORE_REQUESTED)
        self._check("it was restored, and what was read back equals the backup", _end(restored), ("restored", None))
        after = organisation.datamarts[USED]
        self._check("Databrain has its configuration again", after.configuration, before.configuration)
        self._teller.embeds(restored["restoredEmbeds"])
        for embed in restored["restoredEmbeds"]:
            app = organisation.data_apps[embed["dataAppName"]]
            guest = {"dataAppName": app.name, "clientId": "acme", "params": {"allowedEmbeds": [embed["newEmbedId"]]}}
            token = organisation.create_guest_token(app, guest)
            why_not = organisation.why_not_shown(token, embed["newEmbedId"], datetime.now(UTC))
            self._check("a guest token shows the embed under its new ID", why_not, None)

    # ---- What they are made of -------------------------------------------------------------------------------------

    def _approve(self, approval: Detail) -> dict[str, Any]:
        """Send one approval, from the approvers' source."""
        return self._ask(approval, source=APPROVERS, detail_type=APPROVED)

    def _ask(
        self,
        detail: Detail,
        *,
        source: str = "datamart.lifecycle",
        detail_type: str = REQUESTED,
        in_full: bool = False,
    ) -> dict[str, Any]:
        """Send one event to the bus, and show the event and its result."""
        self._teller.request(detail_type, detail)
        asked = datetime.now(UTC)
        self._stack.put_event(detail, source=source, detail_type=detail_type)
        return self._result(detail["retirementId"], asked, in_full=in_full)

    def _send(self, detail: Detail, secret: str, how: str) -> int:
        """Send one request by webhook, and show the response."""
        trusted = ssl.create_default_context(cafile=self._stack.authority)
        with httpx.Client(verify=trusted, trust_env=False) as http:
            response = post(
                http,
                self._stack.outputs["WebhookUrl"],
                [secret],
                "datamart.retirement.requested",
                detail,
                message_id="msg_demo",
                requested_at=datetime.now(UTC),
            )
        self._teller.answer(how, response.status_code, response.text)
        return response.status_code

    def _result(self, retirement_id: str, asked: datetime, *, in_full: bool = False) -> dict[str, Any]:
        result = self._stack.next_result(retirement_id=retirement_id)
        waited = datetime.now(UTC) - asked
        self._teller.steps(self._stack.steps_of(retirement_id, since=asked))
        self._teller.result(result, waited.total_seconds(), in_full=in_full)
        return result.document

    def _check(self, promise: str, found: object, expected: object) -> None:
        if found != expected:
            raise DemoFailed(f"{promise}: expected {expected!r}, found {found!r}")
        self._teller.checked(promise)


def report_file(text: str) -> Path:
    """The file of the page, for argparse: the demo takes long, so a file that cannot be written is an error at once."""
    file = Path(text)
    if not file.parent.is_dir():
        raise argparse.ArgumentTypeError(f"the folder {file.parent} of {file.name} does not exist: create it first")
    if file.is_dir():
        raise argparse.ArgumentTypeError(f"{file} is a folder: name a file, such as report.html")
    return file


def main(arguments: list[str]) -> int:
    """Run the demo; the exit status says whether every check held."""
    parser = argparse.ArgumentParser(prog="make demo", description=__doc__)
    parser.add_argument("--report", type=report_file, help="also write a page about the evidence bucket to this file")
    options = parser.parse_args(arguments)
    end_as_by_ctrl_c()
    console = Console(highlight=False)
    if not console.is_terminal:
        console.width = 120
    teller = Storyteller(console)
    webhook_secret = f"whsec_{b64encode(secrets.token_bytes(24)).decode()}"
    started = time.monotonic()
    seed = read_seed(SAMPLE)
    try:
        with ExitStack() as running:
            with teller.waiting("Starting a local Databrain server and MiniStack, and deploying template.yaml there"):
                databrain = running.enter_context(serve(seed))
                stack = running.enter_context(
                    EmbeddedStack.start(
                        databrain_url=databrain.url,
                        service_token=seed["serviceToken"],
                        webhook_secret=webhook_secret,
                        parameters={"Mode": "retire", "ApprovalSources": APPROVERS},
                    )
                )
                running.enter_context(stack.requiring(0))  # but in the chapter about it
            Demo(teller, databrain, stack, webhook_secret).tell()
            if options.report is not None:
                write_report(stack.s3, stack.outputs["EvidenceBucketName"], options.report)
                teller.say(f"The page about the evidence bucket is {options.report}.")
    except (DemoFailed, StackError) as error:
        console.print("\nThe demo failed, and nothing is left running.", style="bold red")
        console.print("".join(traceback.format_exception_only(error)), markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("\nInterrupted. Nothing is left running.", style="bold red")
        return 130
    seconds = time.monotonic() - started
    console.print(f"\nAll checks passed, in {seconds:.0f} s. Nothing is left running.", style="bold green")
    return 0


def _embeds_of(organisation: Organisation, datamart_name: str) -> list[str]:
    return [
        embed.embed_id
        for app in organisation.data_apps.values()
        for embed in app.embeds
        if embed.datamart == datamart_name
    ]


def _end(result: Detail) -> tuple[str, str | None]:
    return result["outcome"], result["reason"]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
