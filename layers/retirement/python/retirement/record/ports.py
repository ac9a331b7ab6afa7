"""What a record needs of the world."""

from collections.abc import Iterator
from typing import Protocol

from retirement.stored_object import StoredObject


class Evidence(Protocol):
    """The evidence bucket: nothing in it is ever overwritten."""

    def create(self, key: str, body: str, content_hash: str | None = None) -> StoredObject:
        """Store the object unless there is one, and return what is there now: this one, or the earlier one.

        Raises:
            AwsCallFailed: it could not be stored or read.
        """

    def read(self, key: str) -> StoredObject | None:
        """Read an object; None where there is none.

        Raises:
            AwsCallFailed: it could not be read. A 403 is an error and never "there is none".
        """

    def list(self, prefix: str) -> Iterator[str]:
        """The keys that begin so, in their order; those that are created meanwhile may be among them.

        Raises:
            AwsCallFailed: in between, too: not all of them could be listed.
        """
