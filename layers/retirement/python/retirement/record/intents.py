"""The intent to delete: written before the delete and never changed."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import Document, canonical_json
from retirement.record.organisation import Organisation
from retirement.record.results import Grounds
from retirement.stored_object import BackupReference, StoredObject
from retirement.timestamps import format_timestamp, parse_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Intent:
    """Which datamart an attempt is about to delete, and on what grounds.

    Attributes:
        detail: the request's detail, as it was sent.
        created_at: the datamart's; None if Databrain does not report it.
        invocation_id: makes the intents of two attempts differ.
        content_hash: the request's.
        organisation: where the datamart was seen.
    """

    detail: Document
    datamart_name: str
    created_at: datetime | None
    configuration_hash: str
    plan_id: str
    dependents: Document
    backup: BackupReference | None
    not_restorable: Sequence[str] | None
    invocation_id: str
    content_hash: str
    organisation: Organisation

    @property
    def grounds(self) -> Grounds:
        """The grounds of a result that follows from this intent."""
        return Grounds(self.plan_id, self.dependents, self.backup, self.not_restorable)

    def to_json(self) -> str:
        """Return the intent as it is stored."""
        return canonical_json(
            {
                "formatVersion": "1",
                "request": self.detail,
                "requestHash": self.content_hash,
                "datamart": {
                    "name": self.datamart_name,
                    "createdAt": None if self.created_at is None else format_timestamp(self.created_at),
                    "configurationHash": self.configuration_hash,
                },
                "planId": self.plan_id,
                "dependents": self.dependents,
                "backup": None if self.backup is None else self.backup.document(),
                "notRestorable": self.not_restorable,
                "invocationId": self.invocation_id,
                "organisation": self.organisation.document(),
            }
        )

    @classmethod
    def of(cls, stored: StoredObject) -> "Intent":
        """Parse a stored intent.

        Raises:
            AwsCallFailed: the object is not as this project writes it.
        """
        with stored.parsed() as document:
            datamart, backup = document["datamart"], document["backup"]
            return cls(
                detail=document["request"],
                content_hash=document["requestHash"],
                datamart_name=datamart["name"],
                created_at=None if datamart["createdAt"] is None else parse_timestamp(datamart["createdAt"]),
                configuration_hash=datamart["configurationHash"],
                plan_id=document["planId"],
                dependents=document["dependents"],
                backup=None if backup is None else BackupReference.stored_in(backup),
                not_restorable=document.get("notRestorable"),  # missing in intents of earlier versions
                invocation_id=document["invocationId"],
                organisation=Organisation.stored_in(document),
            )
