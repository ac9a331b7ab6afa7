"""An object of the evidence bucket."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoredObject:
    """An object as it is stored now; `content_hash` is the request's, kept as metadata with a receipt."""

    bucket: str
    key: str
    version_id: str | None
    body: str
    content_hash: str | None
