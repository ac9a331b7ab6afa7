"""Checks that nothing stored contains a secret that the attempt has read."""

from retirement.canonical import Document
from retirement.errors import DatabrainUnexpected
from retirement.restoring.endings import RestoreAttempt


def require_no_secret(what: str, document: Document, attempt: RestoreAttempt) -> None:
    """Check that what is about to be stored contains no token and no key of a data app.

    Raises:
        DatabrainUnexpected: it contains one; the message names the place.
    """
    place = attempt.ports.databrain.place_of_secret(document)
    if place is not None:
        raise DatabrainUnexpected(
            f"{what} would contain a token or a data app's key, in {place}, so it was not stored: remove the secret "
            "from what Databrain stores, and replace it with a new one"
        )
