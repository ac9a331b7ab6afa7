"""The permits: the client's `delete` takes one of these values and nothing else."""

from dataclasses import dataclass
from typing import TypeAlias, cast

from retirement.canonical import Document, parse_json, sha256_hex
from retirement.databrain.snapshot import Snapshot, configuration_hash
from retirement.errors import BackupFailed
from retirement.requests import Request
from retirement.stored_object import BackupReference, StoredObject


@dataclass(frozen=True, slots=True)
class VerifiedBackup:
    """Permits the deletion of `snapshot`, because a backup was read back and has the snapshot's configuration.

    Raises:
        BackupFailed: at construction, if it does not.
    """

    snapshot: Snapshot
    reference: BackupReference
    read_back: StoredObject

    def __post_init__(self) -> None:
        where = f"s3://{self.reference.bucket}/{self.reference.key}"
        if sha256_hex(self.read_back.body) != self.reference.sha256:
            raise BackupFailed(
                f"{where} is not what was written (expected SHA-256 {self.reference.sha256}), so nothing was deleted"
            )
        try:
            stored = cast("dict[str, Document]", parse_json(self.read_back.body, exact=True))
            stored_hash = configuration_hash(stored["datamart"], stored["semanticLayer"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BackupFailed(f"{where} is not a backup as this project writes it, so nothing was deleted") from None
        if stored_hash != self.snapshot.configuration_hash:
            raise BackupFailed(f"{where} has another configuration than Databrain shows now, so nothing was deleted")


@dataclass(frozen=True, slots=True)
class NoBackupRequested:
    """Permits the deletion of `snapshot` without a backup, because the request says `backup: false`.

    Raises:
        BackupFailed: at construction, if the request requires one.
    """

    snapshot: Snapshot
    request: Request

    def __post_init__(self) -> None:
        if self.request.backup:
            raise BackupFailed("The request requires a backup, and there is none, so nothing was deleted")


DeletePermit: TypeAlias = VerifiedBackup | NoBackupRequested
