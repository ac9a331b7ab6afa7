"""How `make demo` tells its story: in a terminal in colour, elsewhere as plain text."""

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
    "planned": "cyan",
    "scheduled": "cyan",
    "blocked": "yellow",
    "rejected": "yellow",
}
NEXT = (
    ("make local", "the same stack, left running for your own events and webhooks"),
    ("make demo REPORT=report.html", "this story again, and a page about what it left in S3"),
    ("make test", "every test"),
    ("docs/deploy.md", "how to deploy it: a fresh stack is in plan mode, and deletes nothing"),
)


class Storyteller:
    """Prints; what it is handed is escaped."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._chapter = ""
        self._told: list[tuple[str, Mapping[str, Any]]] = []

    @contextmanager
    def waiting(self, what: str) -> Iterator[None]:
        """Say what takes a while."""
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
        """The datamarts, and who uses them."""
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
        """Begin one."""
        self._chapter = title
        self._console.print()
        self._console.rule(f"[bold]{escape(title)}", align="left")
        self._console.print(escape(text), style="italic")

    def request(self, detail: Mapping[str, Any]) -> None:
        """What is put on the event bus."""
        self._console.print("\nOn the event bus, as Datamart Retirement Requested:", style="bold")
        self._console.print(_indented(json.dumps(detail, ensure_ascii=False)))

    def answer(self, how: str, status: int, body: str) -> None:
        """What a webhook's sender gets."""
        style = "green" if status == HTTPStatus.ACCEPTED else "yellow"
        self._console.print(f"\nPOST, signed {escape(how)}; the answer: [{style}]{status}[/] {escape(body)}")

    def steps(self, lines: Sequence[Mapping[str, Any]]) -> None:
        """What the functions logged on the way."""
        self._console.print("\nWhat the function logs:", style="bold")
        for line in lines:
            shown = {name: value for name, value in line.items() if name not in _ENVELOPE}
            fields = " ".join(f"{name}={_short(value)}" for name, value in shown.items())
            text = Text(f"{line['timestamp'][11:23]}  {line['message']:<22}", style="dim")
            self._console.print(_indented(text.append(fields)), no_wrap=True, overflow="ellipsis")

    def result(self, result: PublishedResult, seconds: float, *, in_full: bool) -> None:
        """What subscribers of the topic get."""
        document = result.document
        self._told.append((self._chapter, document))
        colour = COLOURS.get(document["outcome"], "white")
        self._console.print(f"\nThe result, as SNS delivers it after {seconds:.1f} s:", style="bold")
        self._console.print(_indented(Text(str(result.subject), style=f"bold {colour}")))
        self._console.print(_indented(Text(document["message"])))
        if in_full:
            self._console.print_json(result.message, indent=2)
            self._console.print(f"Attributes to filter by: {escape(json.dumps(result.attributes, ensure_ascii=False))}")

    def plan(self, key: str, plan: Mapping[str, Any]) -> None:
        """How to read a plan."""
        embeds = plan["embeds"]
        verdicts = ", ".join(f"{embed['embedId']} {embed['verdict'].replace('_', ' ')}" for embed in embeds)
        table = Table.grid(padding=(0, 2))
        table.add_row(
            "configuration", f"{plan['configurationHash'][:16]}...", "any edit of the datamart makes another hash"
        )
        table.add_row("embeds", escape(verdicts), "each with its verdict; undetermined blocks as a use does")
        table.add_row("options", escape(json.dumps(plan["options"])), "what was asked for")
        self._console.print(f"\nHow to read its plan, {escape(key)}:", style="bold")
        self._console.print(Padding(table, (0, 0, 0, 2)))

    def kept(self, evidence: Mapping[str, EvidenceObject]) -> None:
        """What stays in S3."""
        table = Table("object in S3, never overwritten", "bytes", title_justify="left")
        table.columns[0].overflow = "fold"
        table.columns[1].justify = "right"
        for key, stored in evidence.items():
            table.add_row(escape(key), str(len(stored.body)))
        self._console.print()
        self._console.print(table)

    def backup(self, backup: Mapping[str, Any]) -> None:
        """What brings it back, and what nothing brings back."""
        create = backup["createRequest"]
        self._console.print(
            f"\nTo bring it back, send the backup's createRequest: [bold]{create['method']} {create['path']}[/]. "
            "What that does not bring back:"
        )
        for loss in backup["notRestored"]:
            self._console.print(_indented(f"- {loss}"))

    def checked(self, promise: str) -> None:
        """Something that was looked at."""
        self._console.print(f"  [green]checked[/] {escape(promise)}")

    def summary(self) -> None:
        """All that happened, and what to try next."""
        table = Table("chapter", "datamart", "outcome", "reason", title="What happened", title_justify="left")
        for chapter, document in self._told:
            outcome = f"[{COLOURS.get(document['outcome'], 'white')}]{document['outcome']}[/]"
            table.add_row(escape(chapter), escape(document["datamartName"]), outcome, document["reason"] or "")
        self._console.print()
        self._console.print(table)
        self._console.print("\nWhat to try next:", style="bold")
        width = max(len(command) for command, _ in NEXT)
        for command, what in NEXT:
            self._console.print(f"  [bold]{command:<{width}}[/]  {what}")


# What every line of the log has.
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
