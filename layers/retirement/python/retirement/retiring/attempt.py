"""One attempt at a retirement."""

from dataclasses import dataclass

from retirement.canonical import Document
from retirement.databrain.snapshot import Snapshot
from retirement.delivery.attempt import Attempt
from retirement.errors import DatabrainUnexpected
from retirement.record.organisation import Organisation
from retirement.record.plans import Plan
from retirement.requests import Request
from retirement.retiring.ports import RetirePorts
from retirement.retiring.settings import Mode, RetireSettings


@dataclass(frozen=True, slots=True)
class RetireAttempt(Attempt[Request]):
    """A request, its delivery, and what the retire function carries it out with."""

    settings: RetireSettings
    ports: RetirePorts

    @property
    def is_dry_run(self) -> bool:
        """Whether it may change nothing."""
        return self.request.dry_run or self.settings.mode is Mode.PLAN

    def recognises(self, organisation: Organisation, snapshot: Snapshot, plan: Plan) -> bool:
        """Return whether an earlier plan of this datamart was made in the organisation that this plan is made in."""
        return organisation.is_recognised(
            self.ports.databrain.fingerprint,
            snapshot.listing.created_at,
            lambda: plan.organisation.data_apps,
            has_same_creation=snapshot.created_at is not None,  # it is part of the plan, whose hash is the same
        )

    def require_no_secret(self, what: str, document: Document) -> None:
        """Refuse to store a token or a data app's key, which could be used by whoever reads the evidence.

        Raises:
            DatabrainUnexpected: the document contains one; the message names the place.
        """
        place = self.ports.databrain.place_of_secret(document)
        if place is not None:
            raise DatabrainUnexpected(
                f"{what} would contain a token or a data app's key, in {place}, so it was not stored: remove the "
                "secret from what Databrain stores, and replace it with a new one"
            )
