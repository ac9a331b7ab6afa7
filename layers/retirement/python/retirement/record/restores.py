"""The stored objects of one restore: its intent, each request to create an embed, and its receipt."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from retirement.canonical import Document
from retirement.record.keys import embed_file_name, numbers_in, restore_key, restores_prefix
from retirement.record.organisation import Organisation
from retirement.record.ports import Evidence
from retirement.record.record import read_listed
from retirement.requests import RestoreRequest
from retirement.stored_object import BackupReference, StoredObject


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreIntent:
    """The intent to create a datamart: written before the create.

    `listed` are the names that were listed then, `ended` the other restores of the retirement that had ended before.
    """

    detail: Document
    content_hash: str
    restored_as: str
    listed: frozenset[str]
    ended: frozenset[str]
    backup: BackupReference
    invocation_id: str
    organisation: Organisation

    def document(self) -> Document:
        """Return the intent as it is stored."""
        return {
            "formatVersion": "1",
            "request": self.detail,
            "requestHash": self.content_hash,
            "restoredAs": self.restored_as,
            "listed": sorted(self.listed),
            "ended": sorted(self.ended),
            "backup": self.backup.document(),
            "invocationId": self.invocation_id,
            "organisation": self.organisation.document(),
        }

    @classmethod
    def of(cls, stored: StoredObject) -> "RestoreIntent":
        """Read a stored intent.

        Raises:
            MalformedObject: it is not one.
        """
        with stored.parsed() as content:
            return cls(
                detail=content["request"],
                content_hash=content["requestHash"],
                restored_as=content["restoredAs"],
                listed=frozenset(content["listed"]),
                ended=frozenset(content["ended"]),
                backup=BackupReference.stored_in(content["backup"]),
                invocation_id=content["invocationId"],
                organisation=Organisation.stored_in(content),
            )


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedIntent:
    """A request to create one embed, stored before it is sent.

    Attributes:
        embed_id: the ID of the deleted embed.
        body: the body of the request.
        listed: the IDs of the embeds that its data app had then.
        decided: what had become of other embeds by then, as the result contains it.
    """

    embed_id: str
    data_app_name: str
    body: Document
    listed: frozenset[str]
    decided: Sequence[Document]
    invocation_id: str

    def document(self) -> Document:
        """Return the request as it is stored."""
        return {
            "formatVersion": "1",
            "embedId": self.embed_id,
            "dataAppName": self.data_app_name,
            "createRequest": self.body,
            "listed": sorted(self.listed),
            "decided": self.decided,
            "invocationId": self.invocation_id,
        }

    @classmethod
    def of(cls, stored: StoredObject) -> "EmbedIntent":
        """Read a stored request.

        Raises:
            MalformedObject: it is not one.
        """
        with stored.parsed() as content:
            return cls(
                embed_id=content["embedId"],
                data_app_name=content["dataAppName"],
                body=content["createRequest"],
                listed=frozenset(content["listed"]),
                decided=content["decided"],
                invocation_id=content["invocationId"],
            )


class RestoreRecord:
    """The record of one restore, as it was when it was constructed. Its prefix is listed once.

    Every property raises `AwsCallFailed` if S3 does not answer, and `MalformedObject` for an object that this project
    did not write.
    """

    def __init__(self, evidence: Evidence, request: RestoreRequest) -> None:
        self._evidence = evidence
        self._prefix = restore_key(request.datamart_name, request.retirement_id, request.restore_id, "")
        keys = list(evidence.list(restores_prefix(request.datamart_name, request.retirement_id)))
        self._file_names = {key.removeprefix(self._prefix) for key in keys if key.startswith(self._prefix)}
        self.ended = frozenset(key.split("/")[-2] for key in keys if key.endswith("/receipt.json"))  # restoreIds

    @cached_property
    def receipt(self) -> StoredObject | None:
        """The receipt, or None."""
        return self._read("receipt.json")

    @cached_property
    def intent(self) -> RestoreIntent | None:
        """The intent, or None."""
        stored = self._read("intent.json")
        return None if stored is None else RestoreIntent.of(stored)

    @cached_property
    def last_embed(self) -> EmbedIntent | None:
        """The last request to create an embed, or None; it contains what had become of the earlier ones."""
        stored = self._read(embed_file_name(self.embeds_requested))
        return None if stored is None else EmbedIntent.of(stored)

    @cached_property
    def embeds_requested(self) -> int:
        """The highest number of a request to create an embed, or 0."""
        return max(numbers_in(self._file_names, "embed"), default=0)

    def _read(self, file_name: str) -> StoredObject | None:
        return read_listed(self._evidence, self._prefix + file_name) if file_name in self._file_names else None
