"""How `make demo` prints: in colour on a terminal, elsewhere as plain text."""

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from http import HTTPStatus
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from local.databrain.organisation import Organisation
from local.stack import EvidenceObject, PublishedResult

COLOURS = {
    "deleted": "green",
    "restored": "green",
    "planned": "cyan",
    "scheduled": "cyan",
    "awaiting_approval": "cyan",
    "approved": "cyan",
    "blocked": "yellow",
    "rejected": "yellow",
}
NEXT = (
    ("make local", "run the same stack for your own events and webhooks"),
    ("make demo REPORT=report.html", "run this demo again, and write a page about the evidence in S3"),
    ("make test", "run all tests"),
    ("docs/deploy.md", "deploy the stack; a new one is in plan mode and deletes nothing"),
)


class Storyteller:
    """Prints the chapters; it escapes all texts from outside."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = ""
        self._told: list[tuple[str, Mapping[str, Any]]] = []

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what takes some time."""
        self._console.print(f"{what} ...")
        if not self._console.is_terminal:
            yield
            return
        with self._console.status("a few seconds"):
            yield

    def say(self, text: str) -> None:
        """One remark."""
        self._console.print(f"\n{escape(text)}")

    def estate(self, title: str, organisation: Organisation) -> None:
        """The datamarts, and the embeds that use them."""
        users: dict[str, list[str]] = defaultdict(list)
        for app in organisation.data_apps.values():
            for embed in app.embeds:
                users[str(embed.datamart)].append(f"{embed.name} ({app.name})")
        table = Table("datamart", "created", "tables", "embeds that use it", title=title, title_justify="left")
        for datamart in organisation.datamarts.values():
            tables = ", ".join(each["tableName"] for each in datamart.configuration["datamartTables"])
            used_by = ", ".join(users[datamart.name]) or "-"
            table.add_row(*map(escape, (datamart.name, datamart.created_at[:10], tables, used_by)))
        self._console.print()
        self._console.print(table)

    def chapter(self, title: str, text: str) -> None:
        """Begin a chapter."""
        self._chapter = title
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}", align="left")
        self._console.print(escape(text), style="italic")

    def request(self, detail_type: str, detail: Mapping[str, Any]) -> None:
        """The event that is sent to the bus."""
        self._console.print(f"\nThe event on the bus, {detail_type}:", style="bold")
        self._console.print(_indented(json.dumps(detail, ensure_ascii=False)))

    def answer(self, how: str, status: int, body: str) -> None:
        """The response to a webhook's sender."""
        style = "green" if status == HTTPStatus.ACCEPTED else "yellow"
        self._console.print(f"\nPOST, signed {escape(how)}. Response: [{style}]{status}[/] {escape(body)}")

    def steps(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """What the functions logged about the request."""
        self._console.print("\nThe log of the functions:", style="bold")
        for line in lines:
            shown = {name: value for name, value in line.items() if name not in _ENVELOPE}
            fields = " ".join(f"{name}={_short(value)}" for name, value in shown.items())
            text = Text(f"{line['timestamp'][11:23]}  {line['message']:<22}", style="dim")
            self._console.print(_indented(text.append(fields)), no_wrap=True, overflow="ellipsis")

    def result(self, result: PublishedResult, seconds: float, *, in_full: bool) -> None:
        """The message that subscribers of the topic receive."""
        document = result.document
        self._told.append((self._chapter, document))
        colour = COLOURS.get(document["outcome"], "white")
        self._console.print(f"\nThe result, delivered by SNS after {seconds:.1f} s:", style="bold")
        self._console.print(_indented(Text(str(result.subject), style=f"bold {colour}")))
        self._console.print(_indented(Text(document["message"])))
        if in_full:
            self._console.print_json(result.message, indent=2)
            self._console.print(
                f"Attributes for filter policies: {escape(json.dumps(result.attributes, ensure_ascii=False))}"
            )

    def plan(self, key: str, plan: Mapping[str, Any]) -> None:
        """The parts of a plan, explained."""
        embeds = plan["embeds"]
        verdicts = ", ".join(f"{embed['embedId']} {embed['verdict'].replace('_', ' ')}" for embed in embeds)
        table = Table.grid(padding=(0, 2))
        table.add_row(
            "configuration", f"{plan['configurationHash'][:16]}...", "changes with every edit of the datamart"
        )
        table.add_row(
            "embeds",
            escape(verdicts),
            "each with its verdict; an undetermined embed blocks, like one that uses the datamart",
        )
        table.add_row("options", escape(json.dumps(plan["options"])), "as requested")
        self._console.print(f"\nIn its plan, {escape(key)}:", style="bold")
        self._console.print(Padding(table, (0, 0, 0, 2)))

    def kept(self, evidence: Mapping[str, EvidenceObject]) -> None:
        """The objects that are stored in S3."""
        table = Table("object in S3 (never overwritten)", "bytes", title_justify="left")
        table.columns[0].overflow = "fold"
        table.columns[1].justify = "right"
        for key, stored in evidence.items():
            table.add_row(escape(key), str(len(stored.body)))
        self._console.print()
        self._console.print(table)

    def backup(self, backup: Mapping[str, Any]) -> None:
        """What cannot be restored."""
        self._console.print("\nA restore creates the datamart again from its backup, except:")
        for loss in backup["notRestored"]:
            self._console.print(_indented(f"- {loss}"))

    def embeds(self, embeds: Sequence[Mapping[str, Any]]) -> None:
        """What became of the embeds of a restored datamart."""
        table = Table("embed", "data app", "state", "old ID", "new ID")
        for embed in embeds:
            shown = (embed[field] or "" for field in ("name", "dataAppName", "state", "embedId", "newEmbedId"))
            table.add_row(*map(escape, shown))
        self._console.print()
        self._console.print(table)

    def checked(self, promise: str) -> None:
        """One check that passed."""
        self._console.print(f"  [green]checked[/] {escape(promise)}")

    def summary(self) -> None:
        """All results, and what to do next."""
        table = Table("chapter", "datamart", "outcome", "reason", title="All results", title_justify="left")
        for chapter, document in self._told:
            outcome = f"[{COLOURS.get(document['outcome'], 'white')}]{document['outcome']}[/]"
            table.add_row(escape(chapter), escape(document["datamartName"]), outcome, document["reason"] or "")
        self._console.print()
        self._console.print(table)
        self._console.print("\nWhat to do next:", style="bold")
        width = max(len(command) for command, _ in NEXT)
        for command, what in NEXT:
            self._console.print(f"  [bold]{command:<{width}}[/]  {what}")


# Fields that every line of the log has.
_ENVELOPE = {
    "level",
    "location",
    "message",
    "timestamp",
    "service",
    "cold_start",
    "function_name",
    "function_memory_size",
    "function_arn",
    "function_request_id",
    "xray_trace_id",
    "receiveCount",
    "retirementId",
    "datamartName",
    "requestedBy",
    "resultMessage",
}


def _indented(text: str | Text) -> Padding:
    return Padding(Text(text) if isinstance(text, str) else text, (0, 0, 0, 2))


def _short(value: object) -> str:
    text = value if isinstance(value, str) else json.dumps(value)
    return text if len(text) <= 60 else f"{text[:57]}..."  # noqa: PLR2004  # as much as a line takes
