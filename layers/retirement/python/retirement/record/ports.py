"""The port to the evidence."""

from collections.abc import Iterator
from typing import Protocol

from retirement.stored_object import StoredObject


class Evidence(Protocol):
    """The evidence bucket. No object in it is ever overwritten."""

    def create(self, key: str, body: str, content_hash: str | None = None) -> StoredObject:
        """Store the object unless the key exists, and return the object that is there now: this one or an earlier one.

        Raises:
            AwsCallFailed: it could not be stored or read.
        """

    def read(self, key: str) -> StoredObject | None:
        """Read an object; None if the key does not exist.

        Raises:
            MalformedObject: it is not text, as everything is that this project writes.
            AwsCallFailed: it could not be read. A 403 is an error, and is not taken for a missing object.
        """

    def list(self, prefix: str) -> Iterator[str]:
        """Yield the keys with this prefix, sorted; keys that are created meanwhile may be among them.

        Raises:
            AwsCallFailed: not all keys could be listed; this can be raised after some were yielded.
        """
