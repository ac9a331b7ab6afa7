"""Objects on S3: of the evidence bucket, and what the stack's owner keeps elsewhere."""

from dataclasses import dataclass
from datetime import datetime

from retirement.canonical import Document
from retirement.errors import AwsCallFailed


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored now; `content_hash` is the request's, kept as metadata with a receipt."""

    bucket: str
    key: str
    version_id: str | None
    body: str
    content_hash: str | None

    def malformed(self) -> AwsCallFailed:
        """What to raise where its body is not what this project writes under its key."""
        return AwsCallFailed(f"{self.key} is not as this project writes it: look at the object's versions")


@dataclass(frozen=True, slots=True)
class BackupReference:
    """Where a backup is, and what it must be: `sha256` in lower-case hex, `size` in bytes."""

    bucket: str
    key: str
    version_id: str | None
    sha256: str
    size: int

    def document(self) -> Document:
        """The reference as results and intents show it."""
        return {
            "bucket": self.bucket,
            "key": self.key,
            "versionId": self.version_id,
            "sha256": self.sha256,
            "bytes": self.size,
        }


@dataclass(frozen=True, slots=True)
class OwnersFile:
    """A file as it is now; `where` names it and the parameter that points to it, for a message."""

    where: str
    body: bytes
    version_id: str | None
    written_at: datetime
