"""What is at the other end: two Databrain organisations, a secret with the token of one, and the owner's map."""

import copy
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from local.databrain.organisation import ApiToken, DataApp, Embed, EmbedsTell, Organisation
from retirement.databrain.dependents import NO_DATAMART, EmbedMap
from retirement.timestamps import format_timestamp, parse_timestamp
from tests.fakes import SETTINGS, START, FakeEmbedMap
from tests.faults.plays import (
    NAME,
    TILE,
    Act,
    Deed,
    Exchange,
    Given,
    Mapped,
    Meddle,
    OtherHas,
    Repoint,
    SecretInside,
    Send,
    Shown,
    Small,
    To,
    Undated,
    WriteMap,
)
from tests.faults.stage import CREATED_AT, add_embed, add_workspace, embed, organisation, put
from tests.faults.wire import APP_KEY, SERVICE_TOKEN, Answer, Sent, answer_of

OTHER_TOKEN = "made-up-token-of-the-other-77"
OTHER_KEY = "made-up-key-of-the-other-9c"
OTHER_URL = "https://other.test"

# Seconds after the start at which nothing had been changed yet.
LONG_AGO = -86_400.0


def moment(seconds: float) -> datetime:
    """The true time, to the millisecond."""
    return START + timedelta(milliseconds=int(seconds * 1000))


def seconds_of(time: datetime) -> float:
    """How far a time is from the start."""
    return (time - START).total_seconds()


@dataclass(frozen=True)
class OwnersMap:
    """What the map says: embed -> datamart, and the updatedAt that its owner saw, which only a dated one tells."""

    entries: Mapping[str, tuple[str, str]] = field(default_factory=dict)
    made_at: float = 0.0
    is_dated: bool = False

    def is_wrong_about(self, embed: Embed) -> bool:
        """Whether it speaks about the embed as it is now, and says something else."""
        told = self.entries.get(embed.embed_id)
        if told is None or told[0] == (embed.datamart or NO_DATAMART):
            return False
        if self.is_dated:
            return told[1] == embed.updated_at
        return seconds_of(parse_timestamp(embed.updated_at)) <= self.made_at

    def as_read(self) -> EmbedMap:
        """The map as the function reads it."""
        names = {embed_id: name for embed_id, (name, _) in self.entries.items()}
        seen = {embed_id: parse_timestamp(seen) for embed_id, (_, seen) in self.entries.items()}
        return EmbedMap(names, moment(self.made_at), seen if self.is_dated else {})


class TwoOrganisations:
    """The stack is for the first one; the second one is another customer's, or another environment's."""

    def __init__(self) -> None:
        self.first = organisation()
        self.second = _second()
        self.secret = SERVICE_TOKEN
        self.base_url = SETTINGS.databrain_base_url
        self._rotations = 0
        self.embed_map = FakeEmbedMap()
        self.owners_map = OwnersMap()
        self._tokens = {SERVICE_TOKEN: self.first, OTHER_TOKEN: self.second}
        self._changed_at: dict[tuple[int, str], float] = {}

    def arrange(self, given: Given) -> None:
        """What is so from the start."""
        match given:
            case Undated():
                for each in (self.first, self.second):
                    each.options = replace(each.options, lists_created_at=False)
            case Mapped(is_dated, is_whole):
                for each in (self.first, self.second):
                    each.options = replace(each.options, embeds_tell_datamart=EmbedsTell.NONE)
                if self.first.data_apps:
                    add_embed(self.first, embed("chart", None))
                self.owners_map = OwnersMap(is_dated=is_dated)
                self._write_map(-3_600.0, carried=False)
                if not is_whole:
                    self._repoint("chart", NAME, -1_800.0)
                    known = {name: told for name, told in self.owners_map.entries.items() if name != "chart"}
                    self._publish(replace(self.owners_map, entries=known))
            case Shown():
                tile = embed(TILE, NAME)
                if "Portal" in self.first.data_apps:
                    add_embed(self.first, tile)
                add_workspace(self.first, "Sales", tile)
            case Small():
                self.first.data_apps.clear()
            case SecretInside(what):
                label = f"see {SERVICE_TOKEN if what == 'the service token' else APP_KEY}"
                put(self.first, NAME, CREATED_AT, label)
            case OtherHas():
                self._give_other(given)
            case _:  # nothing of theirs
                pass

    def _give_other(self, given: OtherHas) -> None:
        if given.name is None:
            self.second.datamarts.pop(NAME, None)
        else:
            label = "Orders" if given.alike else "Orders of another"
            put(self.second, given.name, moment(given.created_in), label)

    def expect(self, send: Send) -> None:
        """Have what is going to be asked for."""
        if "datamartName" in send.detail:
            put(self.first, send.detail["datamartName"], CREATED_AT)

    def perform(self, act: Act, at: float) -> None:
        """What people do."""
        match act:
            case Repoint(embed_id, datamart):
                self._repoint(embed_id, datamart, at)
            case WriteMap(carried) if self.embed_map.embed_map is not None:
                self._write_map(at, carried=carried)
            case Exchange(to, revoked):
                self._exchange(to, revoked=revoked)
            case Meddle(deed, name):
                self._meddle(deed, name, at)
            case _:  # nothing of theirs
                pass

    def _repoint(self, embed_id: str, datamart: str | None, at: float) -> None:
        updated_at = format_timestamp(moment(at))
        for app in list(self.first.data_apps.values()):
            embeds = tuple(
                replace(each, datamart=datamart, updated_at=updated_at) if each.embed_id == embed_id else each
                for each in app.embeds
            )
            self.first.data_apps[app.name] = replace(app, embeds=embeds)

    def _write_map(self, at: float, *, carried: bool) -> None:
        """The owner looks at each embed, or carries over what the map says of it."""
        seen = {each.embed_id: (each.datamart or NO_DATAMART, each.updated_at) for each in embeds_of(self.first)}
        entries = seen | dict(self.owners_map.entries) if carried else seen
        self._publish(replace(self.owners_map, entries=entries, made_at=at))

    def _publish(self, owners_map: OwnersMap) -> None:
        self.owners_map = owners_map
        self.embed_map.embed_map = owners_map.as_read()

    def _exchange(self, to: To, *, revoked: bool) -> None:
        old = self.secret
        match to:
            case To.OTHER:
                self.secret = OTHER_TOKEN
            case To.OTHER_URL:
                self.secret, self.base_url = OTHER_TOKEN, OTHER_URL
            case To.ROTATED:
                self._rotations += 1
                self.secret = f"made-up-token-{self._rotations}"
                self._tokens[self.secret] = self._tokens.get(old, self.first)
            case To.BACK:
                self.secret, self.base_url = SERVICE_TOKEN, SETTINGS.databrain_base_url
                self._tokens[SERVICE_TOKEN] = self.first
        if revoked and old != self.secret:
            self._tokens.pop(old, None)

    def _meddle(self, deed: Deed, name: str, at: float) -> None:
        there, now = self.first, moment(at)
        if deed is not Deed.CREATE and name not in there.datamarts:
            return
        match deed:
            case Deed.CREATE:
                put(there, name, now)
            case Deed.EDIT:
                put(there, name, parse_timestamp(there.datamarts[name].created_at), f"edited at {now}")
            case Deed.DELETE:
                there.delete_datamart(name)
        self._changed_at[id(there), name] = at

    def note_created(self, there: Organisation, name: str, at: float) -> None:
        """Keep when a restore created, or completed, a datamart."""
        self._changed_at[id(there), name] = at

    # ---- Requests --------------------------------------------------------------------------------------------------

    def changed_at(self, there: Organisation, name: str) -> float:
        """When somebody created or edited a datamart."""
        return self._changed_at.get((id(there), name), LONG_AGO)

    def meant(self, request: Sent, base_url: str) -> tuple[Sent, Organisation]:
        """The organisation that a token belongs to, of those that the server has, and the request as it is to it."""
        there = [self.second] if base_url == OTHER_URL else [self.first, self.second]
        found = self._tokens.get(request.token)
        if found is not None and any(found is each for each in there):
            return replace(request, token=found.service_token), found
        for each in there:
            if each.data_app_of(request.token) is not None:
                return request, each
        return replace(request, token="unknown"), there[0]

    def answer_without_effect(self, request: Sent, base_url: str) -> Answer:
        """The answer to a request that nothing comes of."""
        asked, there = self.meant(request, base_url)
        return answer_of(copy.deepcopy(there), asked)


def embeds_of(there: Organisation) -> tuple[Embed, ...]:
    """All embeds of an organisation."""
    return tuple(each for app in there.data_apps.values() for each in app.embeds)


def _second() -> Organisation:
    """It has a datamart of the same name, and nothing else that the first one has."""
    second = organisation()
    second.service_token = OTHER_TOKEN
    del second.datamarts["returns"]
    put(second, NAME, CREATED_AT - timedelta(hours=1))  # no two of them were created in the same millisecond
    put(second, "stock", CREATED_AT - timedelta(hours=7))
    at = format_timestamp(CREATED_AT - timedelta(hours=8))
    key = ApiToken(OTHER_KEY, "key", "", at, expired=False)
    second.data_apps = {"Kiosk": DataApp("Kiosk", "embedded", at, at, (key,), ())}
    return second
