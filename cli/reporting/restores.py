"""Restores, as the bucket tells of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from cli.reporting.evidence import Bucket, Unreadable
from cli.reporting.papers import NO_RESULT, UNREADABLE, Kind, Paper, Papers, Trouble, shown_name
from cli.reporting.statements import RestoredEmbed, Statement, optional_text
from retirement.record.keys import restore_key


@dataclass(frozen=True, slots=True)
class Restore:
    """One restore. `state` is its outcome, `NO_RESULT` or `UNREADABLE`; `at` is when that came about.

    `stands` is what is told of it now, None where nothing is. What only its intent says is told without it, too.
    """

    datamart_name: str
    retirement_id: str
    restore_id: str
    restored_as: str | None
    requested_by: str | None
    state: str
    at: datetime
    stands: Statement | None
    papers: tuple[Paper, ...]

    @property
    def embeds(self) -> tuple[RestoredEmbed, ...]:
        """What became, or would become, of the embeds."""
        return self.stands.restoration.embeds if self.stands and self.stands.restoration else ()

    @property
    def differences(self) -> int | None:
        """In how many places it is not as it was; None if it was not restored."""
        if self.stands is None or self.stands.restoration is None or self.state != "restored":
            return None
        return self.stands.restoration.differences

    @property
    def set_out(self) -> bool:
        """Whether something may have been created."""
        return any(paper.kind is Kind.INTENT for paper in self.papers)


def read_restore(
    bucket: Bucket, read_at: datetime, folder: str, papers: Sequence[Paper]
) -> tuple[Restore, list[Trouble]]:
    """Read what tells where one restore stands; `folder` is its prefix without `restores/`."""
    troubles: list[Trouble] = []
    reader = Papers(bucket, papers, "restore", _key_of, troubles)
    _, stands = reader.standing(read_at)
    state = stands.outcome if stands else UNREADABLE if troubles else NO_RESULT
    segment, retirement_id, restore_id = folder.split("/")
    name = stands.datamart_name if stands else None
    restored_as = stands.restoration.restored_as if stands and stands.restoration else None
    requested_by = stands.requested_by if stands else None
    if restored_as is None and (intent := reader.document(Kind.INTENT)):
        request = intent.get("request")
        request = request if isinstance(request, Mapping) else {}
        try:
            restored_as = optional_text(intent, "restoredAs")
            name = name or optional_text(request, "datamartName")
            requested_by = requested_by or optional_text(request, "requestedBy")
        except Unreadable as error:
            troubles.append(Trouble(reader.of(Kind.INTENT)[0].listed.key, str(error)))
    restore = Restore(
        datamart_name=name or shown_name(segment),
        retirement_id=retirement_id,
        restore_id=restore_id,
        restored_as=restored_as,
        requested_by=requested_by,
        state=state,
        at=stands.finished_at if stands else reader.modified,
        stands=stands,
        papers=reader.in_order(),
    )
    return restore, troubles


def _key_of(statement: Statement, file_name: str) -> str | None:
    name, retirement_id, restoration = statement.datamart_name, statement.retirement_id, statement.restoration
    if name is None or retirement_id is None or restoration is None or restoration.restore_id is None:
        return None
    return restore_key(name, retirement_id, restoration.restore_id, file_name)
