"""Objects on S3: those of the evidence bucket, and the files that the stack's owner maintains."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, cast

from retirement.canonical import Document, parse_json
from retirement.errors import MalformedObject


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored now; `content_hash` is the hash of the request, stored as the object's metadata."""

    bucket: str
    key: str
    version_id: str | None
    body: str
    content_hash: str | None

    @contextmanager
    def parsed(self) -> Iterator[dict[str, Any]]:
        """Yield the body, parsed. If the block finds it to have another form, this project did not write it.

        Raises:
            MalformedObject: the body is not JSON, or the block raised what missing and wrong fields raise.
        """
        try:
            yield cast("dict[str, Any]", parse_json(self.body))
        except (ValueError, KeyError, TypeError, AttributeError):
            raise self.malformed() from None

    def malformed(self) -> MalformedObject:
        """Return the error to raise if the body is not what this project writes under this key."""
        return MalformedObject(
            f"{self.key} is not as this project writes it: check the object's versions for one that was written by hand"
        )


@dataclass(frozen=True, slots=True)
class BackupReference:
    """Where a backup is stored, and its content: `sha256` in lower-case hex, `size` in bytes."""

    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size: int

    def document(self) -> Document:
        """Return the reference as results and intents contain it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "sha256": self.sha256,
            "bytes": self.size,
        }

    @classmethod
    def stored_in(cls, document: Mapping[str, Any]) -> "BackupReference":
        """Read a reference that `document` wrote.

        Raises:
            KeyError, TypeError: it is malformed.
        """
        return cls(document["bucket"], document["key"], document["versionId"], document["sha256"], document["bytes"])


@dataclass(frozen=True, slots=True)
class OwnersFile:
    """A file of the owner's as it is now; `where` names it and its parameter in messages."""

    where: str
    body: bytes
    version_id: str | None
    written_at: datetime
