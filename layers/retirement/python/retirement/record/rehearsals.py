"""The rehearsal of a retirement: what is stored before its copy is created, and how it went."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import Document
from retirement.record.organisation import Organisation
from retirement.stored_object import BackupReference, StoredObject
from retirement.timestamps import format_timestamp


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsal:
    """The record that is stored, as `rehearsal.json`, before the copy is created.

    Attributes:
        create_hash: the SHA-256 of both request bodies, which may contain SQL and are stored in the backup alone.
        listed: the names that were listed before.
        configuration_hash: that of the datamart.
        content_hash: that of the request.
        organisation: where the copy is created.
    """

    datamart_name: str
    retirement_id: str
    copy_name: str
    create_hash: str
    listed: Sequence[str]
    configuration_hash: str
    backup: BackupReference
    recorded_at: datetime
    content_hash: str
    invocation_id: str
    organisation: Organisation

    def document(self) -> Document:
        """Return the record as it is stored."""
        return {
            "formatVersion": "1",
            "datamartName": self.datamart_name,
            "retirementId": self.retirement_id,
            "copyName": self.copy_name,
            "createHash": self.create_hash,
            "listed": self.listed,
            "configurationHash": self.configuration_hash,
            "backup": self.backup.document(),
            "recordedAt": format_timestamp(self.recorded_at),
            "requestHash": self.content_hash,
            "invocationId": self.invocation_id,
            "organisation": self.organisation.document(),
        }


@dataclass(frozen=True, slots=True)
class StoredRehearsal:
    """What a later attempt reads of `rehearsal.json`."""

    stored: StoredObject
    copy_name: str
    configuration_hash: str
    backup: BackupReference
    content_hash: str
    organisation: Organisation

    @classmethod
    def of(cls, stored: StoredObject) -> "StoredRehearsal":
        """Parse a stored record.

        Raises:
            MalformedObject: the object is not as this project writes it.
        """
        with stored.parsed() as document:
            return cls(
                stored=stored,
                copy_name=document["copyName"],
                configuration_hash=document["configurationHash"],
                backup=BackupReference.stored_in(document["backup"]),
                content_hash=document["requestHash"],
                organisation=Organisation.stored_in(document),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class Rehearsed:
    """How a rehearsal went, stored as `rehearsed.json` at its end.

    Attributes:
        configuration_hash: that of the datamart whose restore was rehearsed.
        failure: why it failed; None if the copy equals the backup.
        differences: the paths of what differs beyond the backup's `notRestored`. Values may be SQL, and are not stored.
        is_removed: whether it is certain that no copy is left.
    """

    copy_name: str
    configuration_hash: str
    failure: str | None
    differences: Sequence[str]
    is_removed: bool

    def document(self) -> Document:
        """Return it as it is stored."""
        return {
            "formatVersion": "1",
            "copyName": self.copy_name,
            "configurationHash": self.configuration_hash,
            "failure": self.failure,
            "differences": self.differences,
            "isRemoved": self.is_removed,
        }

    @classmethod
    def of(cls, stored: StoredObject) -> "Rehearsed":
        """Parse it.

        Raises:
            MalformedObject: the object is not as this project writes it.
        """
        with stored.parsed() as document:
            return cls(
                copy_name=document["copyName"],
                configuration_hash=document["configurationHash"],
                failure=document["failure"],
                differences=document["differences"],
                is_removed=document["isRemoved"],
            )
