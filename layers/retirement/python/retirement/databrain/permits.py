"""The permits: the only values that let a delete be sent."""

from dataclasses import dataclass
from typing import TypeAlias, cast

from retirement.canonical import Document, parse_json, sha256_hex
from retirement.databrain.snapshot import Snapshot, configuration_hash
from retirement.errors import BackupFailed
from retirement.requests import Request
from retirement.stored_object import BackupReference, StoredObject


@dataclass(frozen=True, slots=True)
class VerifiedBackup:
    """Permits the deletion of `snapshot`: a backup was read back, and equals that snapshot.

    Raises:
        BackupFailed: at construction, where it does not.
    """

    snapshot: Snapshot
    reference: BackupReference
    read_back: StoredObject

    def __post_init__(self) -> None:
        where = f"s3://{self.reference.bucket}/{self.reference.key}"
        if sha256_hex(self.read_back.body) != self.reference.sha256:
            raise BackupFailed(f"{where} is not what was written: expected SHA-256 {self.reference.sha256}")
        try:
            stored = cast("dict[str, Document]", parse_json(self.read_back.body, exact=True))
            stored_hash = configuration_hash(stored["datamart"], stored["semanticLayer"])
        except (ValueError, TypeError, KeyError, AttributeError):
            raise BackupFailed(f"{where} is no backup as this project writes it") from None
        if stored_hash != self.snapshot.configuration_hash:
            raise BackupFailed(f"{where} holds another configuration than Databrain shows now")


@dataclass(frozen=True, slots=True)
class NoBackupRequested:
    """Permits the deletion of `snapshot` without a backup, because the request asks for none.

    Raises:
        BackupFailed: at construction, where the request asks for one.
    """

    snapshot: Snapshot
    request: Request

    def __post_init__(self) -> None:
        if self.request.backup:
            raise BackupFailed("the request asks for a backup, and there is none")


DeletePermit: TypeAlias = VerifiedBackup | NoBackupRequested
