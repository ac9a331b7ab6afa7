"""What is kept of one restore: its intent, each request to create an embed, and what ended it."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any, cast

from retirement.canonical import Document, parse_json
from retirement.errors import AwsCallFailed
from retirement.record.keys import embed_file_name, restore_key
from retirement.record.organisation import Organisation
from retirement.record.ports import Evidence
from retirement.requests import RestoreRequest
from retirement.stored_object import BackupReference, StoredObject

_EMBED = re.compile(r"embed-([1-9][0-9]*)\.json")


@dataclass(frozen=True, slots=True, kw_only=True)
class RestoreIntent:
    """What an attempt set out to create, from which backup; `listed` are the names that were listed then."""

    detail: Document
    content_hash: str
    restored_as: str
    listed: frozenset[str]
    backup: BackupReference
    invocation_id: str
    organisation: Organisation

    def document(self) -> Document:
        """The intent as it is kept."""
        return {
            "formatVersion": "1",
            "request": self.detail,
            "requestHash": self.content_hash,
            "restoredAs": self.restored_as,
            "listed": sorted(self.listed),
            "backup": self.backup.document(),
            "invocationId": self.invocation_id,
            "organisation": self.organisation.document(),
        }

    @classmethod
    def of(cls, stored: StoredObject) -> "RestoreIntent":
        """Read a kept intent.

        Raises:
            MalformedObject: what is kept is not one of ours.
        """
        try:
            kept = cast("dict[str, Any]", parse_json(stored.body))
            return cls(
                detail=kept["request"],
                content_hash=kept["requestHash"],
                restored_as=kept["restoredAs"],
                listed=frozenset(kept["listed"]),
                backup=BackupReference.stored_in(kept["backup"]),
                invocation_id=kept["invocationId"],
                organisation=Organisation.stored_in(kept),
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise stored.malformed() from None


@dataclass(frozen=True, slots=True, kw_only=True)
class EmbedIntent:
    """A request to create one embed, written before it is sent.

    `embed_id` is that of the embed that is gone, `body` the request. `listed` are the IDs that its data app had then.
    `decided` is what had become of other embeds by then, as the result shows it.
    """

    embed_id: str
    data_app_name: str
    body: Document
    listed: frozenset[str]
    decided: Sequence[Document]
    invocation_id: str

    def document(self) -> Document:
        """The request as it is kept."""
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
        """Read a kept one.

        Raises:
            MalformedObject: what is kept is not one of ours.
        """
        try:
            kept = cast("dict[str, Any]", parse_json(stored.body))
            return cls(
                embed_id=kept["embedId"],
                data_app_name=kept["dataAppName"],
                body=kept["createRequest"],
                listed=frozenset(kept["listed"]),
                decided=kept["decided"],
                invocation_id=kept["invocationId"],
            )
        except (ValueError, KeyError, TypeError, AttributeError):
            raise stored.malformed() from None


class RestoreRecord:
    """Of one restore, as it was when this was made: its prefix is listed once.

    Every look raises `AwsCallFailed` where S3 does not answer, or keeps what is not ours.
    """

    def __init__(self, evidence: Evidence, request: RestoreRequest) -> None:
        self._evidence = evidence
        self._prefix = restore_key(request.datamart_name, request.retirement_id, request.restore_id, "")
        self._file_names = {key.removeprefix(self._prefix) for key in evidence.list(self._prefix)}

    @cached_property
    def receipt(self) -> StoredObject | None:
        """What ended it."""
        return self._read("receipt.json")

    @cached_property
    def intent(self) -> RestoreIntent | None:
        """That an attempt set out to create the datamart."""
        kept = self._read("intent.json")
        return None if kept is None else RestoreIntent.of(kept)

    @cached_property
    def last_embed(self) -> EmbedIntent | None:
        """The last embed that was asked for; what became of those before is kept with it."""
        kept = self._read(embed_file_name(self.embeds_asked_for))
        return None if kept is None else EmbedIntent.of(kept)

    @cached_property
    def embeds_asked_for(self) -> int:
        """The highest number of a request to create an embed, 0 where there is none."""
        return max((int(found[1]) for found in map(_EMBED.fullmatch, self._file_names) if found), default=0)

    def _read(self, file_name: str) -> StoredObject | None:
        if file_name not in self._file_names:
            return None
        kept = self._evidence.read(self._prefix + file_name)
        if kept is None:
            raise AwsCallFailed(f"S3 lists {self._prefix}{file_name} and has no such object; try again")
        return kept
