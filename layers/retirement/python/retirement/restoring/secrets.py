"""Nothing is stored that holds a secret which this attempt has read."""

from retirement.canonical import Document
from retirement.errors import DatabrainUnexpected
from retirement.restoring.endings import RestoreAttempt


def require_no_secret(what: str, document: Document, attempt: RestoreAttempt) -> None:
    """What would be stored must hold no token and no data app's key.

    Raises:
        DatabrainUnexpected: it does; the message names the place.
    """
    place = attempt.ports.databrain.place_of_secret(document)
    if place is not None:
        raise DatabrainUnexpected(
            f"{what} would hold a token or a data app's key, in {place}, so it was not stored: take the secret out of "
            "what Databrain stores, and replace it by a new one"
        )
