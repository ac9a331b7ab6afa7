"""What must hold in every case of a restore, judged by what really happened."""

import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from local.databrain.faults import RouteId
from local.databrain.listing import datamart_item
from local.databrain.organisation import Datamart, Embed
from retirement.canonical import parse_json
from retirement.databrain.ports import DatabrainApi
from retirement.errors import Abandoned
from retirement.outcomes import Reason
from retirement.restoring.embeds import AMBIGUOUS, IN_DOUBT
from retirement.restoring.embeds import TIME_TO_CREATE as TIME_FOR_EMBED
from retirement.restoring.workflow import TIME_TO_CREATE
from tests.fakes import Parsed
from tests.faults.cases import Crashes, has_result
from tests.faults.invariants import (
    Verdict,
    all_published,
    are_abandoned_well,
    is_clear,
    is_published,
    tells_no_secret,
)
from tests.faults.restores import AT_THE_CALL, REVIEWED, Besides, RestoreCase, calls_of_restore, played_restore
from tests.faults.stage import (
    CHANGES,
    CREATES,
    Event,
    Stage,
    identity_of,
    is_restore,
    key_of,
    restored_as,
)
from tests.faults.wire import NO_ANSWER, SERVICE_TOKEN, Fault
from tests.restore_world import without_times

# None: the case has nothing to say on it.
RestoreInvariant: TypeAlias = Callable[[RestoreCase, Stage], bool | None]

FLAGS = "isAllow"  # how the names of permissions begin


def _restores(stage: Stage) -> list[Event]:
    """All restores that were delivered."""
    return list({identity_of(each.event): each.event for each in stage.endings if is_restore(each.event)}.values())


def _ended(stage: Stage, outcome: str) -> Iterator[tuple[Event, Parsed]]:
    """The restores that have ended so, with their receipts."""
    for event in _restores(stage):
        receipt = stage.receipt(event)
        if receipt is not None and receipt["outcome"] == outcome:
            yield event, receipt


def _sent(stage: Stage, *routes: RouteId) -> list[Any]:
    return [sent for sent in stage.sent_by_restores if sent.request.route in routes]


# ---- What is created -----------------------------------------------------------------------------------------------


def _no_delete(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    events = [*(sent.event for sent in stage.sent), *(deletion.event for deletion in stage.deletions)]
    return not any(map(is_restore, events))


def _one_datamart(case: RestoreCase, stage: Stage) -> bool | None:
    """A second one only after the first was deleted, where the attempt ended before it had recorded Databrain's yes."""
    made = Counter(identity_of(creation.event) for creation in stage.creations)
    is_unrecorded = case.besides is Besides.RETIREMENT_BETWEEN and case.call in {
        RouteId.CREATE_DATAMART,
        "coordination.record_created",
    }
    most = 1 + (len(stage.deletions) if is_unrecorded else 0)
    return all(count <= most for count in made.values()) if made else None


def _one_embed(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    made = Counter((identity_of(each.event), each.data_app, each.embed.target) for each in stage.embed_creations)
    return all(count == 1 for count in made.values()) if made else None


def _over_nothing(case: RestoreCase, stage: Stage) -> bool | None:
    if case.scenario.ends[1] in {Reason.NAME_TAKEN, Reason.AMBIGUOUS_NAME}:
        return not _sent(stage, *CREATES)
    if not stage.creations:
        return None
    return not any(_folded(each.datamart.name) in map(_folded, each.listed) for each in stage.creations)


def _folded(name: str) -> str:
    return name.strip().casefold()


def _of_others(case: RestoreCase, stage: Stage) -> bool | None:
    """Nothing is added to a datamart that the restore has not created, and what somebody created stays as it was."""
    if not (stage.layered or stage.embed_creations or case.besides in {Besides.TAKEN, Besides.TAKEN_BETWEEN}):
        return None
    taken = stage.organisation.datamarts.get(restored_as(case.scenario.event))
    is_spared = (
        taken is None or "Somebody" not in str(taken.configuration) or not (taken.semantic_layer or {})["tables"]
    )
    return (
        is_spared
        and all(_has_made(event, datamart, stage) for event, datamart in stage.layered)
        and all(each.datamart is None or _has_made(each.event, each.datamart, stage) for each in stage.embed_creations)
    )


def _has_made(event: Event, datamart: Datamart, stage: Stage) -> bool:
    """Whether a restore has created this datamart."""
    return any(
        identity_of(each.event) == identity_of(event)
        and (each.datamart.name, each.datamart.created_at) == (datamart.name, datamart.created_at)
        for each in stage.creations
    )


def _own(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    held = []
    for event, _ in _ended(stage, "restored"):
        there = stage.at_receipt[identity_of(event)].datamarts.get(restored_as(event))
        held.append(there is not None and _has_made(event, there, stage))
    return all(held) if held else None


def _blocked(case: RestoreCase, stage: Stage) -> bool | None:
    return not _sent(stage, *CREATES) if case.scenario.is_blocked else None


def _dry(case: RestoreCase, stage: Stage) -> bool | None:
    if not case.scenario.event["detail"].get("dryRun"):
        return None
    return not _sent(stage, *CHANGES, RouteId.CREATE_GUEST_TOKEN)


def _no_more_rights(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    held = [_has_its_rights(each.embed, each.data_app, each.event, stage) for each in stage.embed_creations]
    return all(held) if held else None


def _has_its_rights(made: Embed, data_app: str, event: Event, stage: Stage) -> bool:
    """Its permissions, its dashboard, its workspace, and, where tenants are told apart, every table's column."""
    old = _backed_up(event, stage)["embeds"]
    (embed,) = (each for each in old if (each["dataAppName"], _target(each)) == (data_app, made.target))
    had: Mapping[str, Any] = embed["export"]["_meta"]["embedDataAppAccessSetting"]
    now = made.access_settings
    tables = _backed_up(event, stage)["createRequest"]["body"]["tableList"]
    return (
        made.datamart == restored_as(event)
        and made.workspace == embed["workspaceName"]
        and all(had.get(flag) is True for flag, is_set in now.items() if flag.startswith(FLAGS) and is_set)
        and now["tableTenancySettings"]
        == [{"name": each["name"], "clientColumn": each["clientColumn"]} for each in tables]
    )


def _target(embed: Parsed) -> object:
    return None if embed["export"] is None else embed["export"]["_meta"].get("dashboardId")


def _guests(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    bodies = [sent.request.body for sent in _sent(stage, RouteId.CREATE_GUEST_TOKEN)]
    held = [
        len(body["params"]["allowedEmbeds"]) == 1
        and not set(REVIEWED) & set(body["params"]["allowedEmbeds"])
        and 0 < body["expiryTime"] <= 60_000
        for body in bodies
    ]
    return all(held) if held else None


def _in_time(case: RestoreCase, stage: Stage) -> bool | None:
    if case.besides in AT_THE_CALL:  # the clock is theirs in common
        return None
    needed = {RouteId.CREATE_DATAMART: TIME_TO_CREATE, RouteId.CREATE_EMBED: TIME_FOR_EMBED - NO_ANSWER}
    sent = _sent(stage, *needed)
    return all(each.seconds_left >= needed[each.request.route] for each in sent) if sent else None


# ---- What is told --------------------------------------------------------------------------------------------------


def _as_read(case: RestoreCase, stage: Stage) -> bool | None:
    held = [_is_as_read(event, receipt, case, stage) for event, receipt in _ended(stage, "restored")]
    return all(held) if held else None


def _is_as_read(event: Event, receipt: Parsed, case: RestoreCase, stage: Stage) -> bool:
    """Each difference is one, there is no other, and each embed is what the result calls it."""
    at = stage.at_receipt[identity_of(event)]
    backup, there = _backed_up(event, stage), at.datamarts[restored_as(event)]
    paths = receipt["differences"]
    is_dated = case.scenario.settings.databrain_api is DatabrainApi.CURRENT
    entry = without_times(datamart_item(there, expanded=True, dated=is_dated)) | {"name": backup["datamart"]["name"]}
    layer = without_times(there.semantic_layer or {})
    was = {"datamart": without_times(backup["datamart"]), "semanticLayer": without_times(backup["semanticLayer"] or {})}
    was["semanticLayer"].pop("datamartName", None)
    is_so = all(
        any(path.startswith(part) for path in paths) == (was[part] != now)
        for part, now in (("datamart", entry), ("semanticLayer", layer))
    )
    kept = _parsed(stage.evidence.objects[key_of(event, "differences.json")].body)["differences"]
    told = [each for each in kept if not each["path"].startswith("embeds[")]
    lost = [number for number, each in enumerate(receipt["restoredEmbeds"]) if each["state"] == "not_restored"]
    return (
        is_so
        and all(_nameless(_at(backup, each["path"])) == _nameless(each["was"]) for each in told)
        and [each["path"] for each in kept] == paths
        and [path for path in paths if path.startswith("embeds[")] == [f"embeds[{number}]" for number in lost]
        and all(_is_what_it_is(each, event, stage) for each in receipt["restoredEmbeds"])
    )


def _nameless(value: object) -> object:
    """Without the datamart's name, which is the new one there."""
    return {name: each for name, each in value.items() if name != "datamartName"} if isinstance(value, dict) else value


def _at(document: Parsed, path: str) -> object:
    """What is at a path, None where nothing is."""
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(document, list):
            document = document[int(step)] if int(step) < len(document) else None
        else:
            document = (document or {}).get(step)
    return document


def _is_what_it_is(told: Parsed, event: Event, stage: Stage) -> bool:
    apps = stage.at_receipt[identity_of(event)].data_apps
    there = {embed.embed_id for embed in apps[told["dataAppName"]].embeds}
    made = {
        each.embed.embed_id: each.embed
        for each in stage.embed_creations
        if identity_of(each.event) == identity_of(event) and each.data_app == told["dataAppName"]
    }
    match told["state"]:
        case "created":
            return (told["newEmbedId"] in there and told["newEmbedId"] in made) or bool(told["why"])
        case "kept":
            return told["embedId"] in there and told["embedId"] == told["newEmbedId"]
    is_open = told["why"] in {IN_DOUBT, AMBIGUOUS}
    embed = next(each for each in _backed_up(event, stage)["embeds"] if _id_of(each) == told["embedId"])
    return is_open or not any(each.target == _target(embed) for each in made.values())


def _id_of(embed: Parsed) -> object:
    return embed["embedId"]


def _no_denial(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    """Of a restore that ended otherwise nothing was created, and nothing comes of it later."""
    creators = [*(each.event for each in stage.creations), *(each.event for each in stage.embed_creations)]
    made = set(map(identity_of, creators))
    held = [
        identity_of(event) not in made
        for outcome in ("restore_blocked", "restore_planned")
        for event, _ in _ended(stage, outcome)
    ]
    return all(held) if held else None


def _alike(case: RestoreCase, stage: Stage) -> bool | None:
    """The first delivery decides as a dry run does that the same fault strikes: both look before the intent."""
    event, calls = case.scenario.event, calls_of_restore(case.scenario)
    is_after = RouteId.CREATE_DATAMART in calls[: case.number]
    if case.besides is not Besides.NOTHING or case.crash is not Crashes.NONE or is_after:
        return None
    if event["detail"].get("dryRun"):
        return None
    dry = played_restore(case, {**event, "detail": {**event["detail"], "dryRun": True}}).endings[0].result
    real = stage.endings[0].result
    if not (dry and real):
        return True
    if dry["outcome"] == "restore_planned":
        is_refused = real["reason"] == Reason.NOT_RESTORABLE and _sent(stage, RouteId.CREATE_DATAMART)
        return bool(real["outcome"] == "restored" or is_refused)
    return bool((dry["outcome"], dry["reason"]) == (real["outcome"], real["reason"]))


def _ends(case: RestoreCase, stage: Stage) -> bool | None:
    return all(map(is_clear, stage.endings)) and all(_has_ended(event, case, stage) for event in _restores(stage))


def _has_ended(event: Event, case: RestoreCase, stage: Stage) -> bool:
    """A restore has its result, and as expected if nothing was in its way; or it is abandoned, in doubt."""
    if has_result(stage, event):
        receipt = stage.receipt(event)
        is_disturbed = (
            case.fault or case.crash is not Crashes.NONE or case.besides not in {Besides.NOTHING, Besides.DUPLICATE}
        )
        return receipt is not None and bool(
            is_disturbed or (receipt["outcome"], receipt["reason"]) == case.scenario.ends
        )
    last = [ending for ending in stage.endings if identity_of(ending.event) == identity_of(event)][-1]
    return isinstance(last.error, Abandoned) and last.error.reason is Reason.UNCONFIRMED and _is_in_doubt(case)


def _is_in_doubt(case: RestoreCase) -> bool:
    """Another datamart of the name may be somebody else's; one that was created may be gone, or not be recognised."""
    is_unrecognised = case.fault in {Fault.DAMAGED, Fault.NOT_LISTED} and case.call == RouteId.CREATE_DATAMART
    return is_unrecognised or case.besides in {
        Besides.TAKEN,
        Besides.TAKEN_BETWEEN,
        Besides.RETIREMENT_BETWEEN,
        Besides.ANOTHER_CRASHES,
        Besides.ANOTHER_CRASHES_BETWEEN,
    }


def _tells_no_secret(case: RestoreCase, stage: Stage) -> bool | None:
    """No token that an attempt has used: others it cannot look for."""
    rotated = [SERVICE_TOKEN] if case.besides is Besides.ROTATED else []
    return tells_no_secret(stage, [*stage.organisation.tokens(), *rotated])


def _tells_no_value(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    """SQL is in the backup, and nowhere else."""
    steps = map(repr, stage.telemetry.steps)
    errors = (str(error) for error in stage.telemetry.errors)
    return "SECRET SQL" not in "\n".join((*stage.results_topic.messages, *steps, *errors))


def _own_prefixes(case: RestoreCase, stage: Stage) -> bool | None:  # noqa: ARG001  # as all of them
    return all(key.startswith(("restores/", "rejected/")) for key in stage.stored_by_restores)


def _parsed(body: str) -> Parsed:
    return parse_json(body)


def _backed_up(event: Event, stage: Stage) -> Parsed:
    """The backup that a restore was made from."""
    receipt = stage.receipt(event)
    assert receipt is None or receipt["backup"]
    keys = (
        [receipt["backup"]["key"]] if receipt else [key for key in stage.evidence.objects if key.startswith("backups/")]
    )
    return _parsed(stage.evidence.objects[keys[0]].body)


RESTORE_INVARIANTS: dict[str, RestoreInvariant] = {
    "no restore deletes": _no_delete,
    "at most one datamart is created per restore": _one_datamart,
    "at most one embed is created per restore for each that was deleted": _one_embed,
    "nothing is created over a listed name, or one that is nearly the same": _over_nothing,
    "nothing is added to a datamart that another restore, or somebody else, has created": _of_others,
    "`restored` is reported only for the datamart that this restore has created": _own,
    "what blocks a restore is found before anything is created": _blocked,
    "a dry run of a restore sends nothing but reads": _dry,
    "no embed gets more permissions than it had": _no_more_rights,
    "each guest token shows one new embed alone, for a minute": _guests,
    "a create leaves time to read back and record it": _in_time,
    "what was read back is what is reported": _as_read,
    "no result of a restore denies a creation": _no_denial,
    "a dry run and a restore decide alike": _alike,
    "every restore has one published result, or stays in Failures in doubt": _ends,
    "no token in anything that a restore writes": _tells_no_secret,
    "no SQL in anything that a restore publishes or logs": _tells_no_value,
    "a restore stores under restores/ and rejected/ alone": _own_prefixes,
    "what a restore publishes is stored, to the byte": lambda _, stage: is_published(stage),
    "every receipt of a restore is published": lambda _, stage: all_published(stage),
    "an abandoned restore has its failure published and its request kept": lambda _, stage: are_abandoned_well(stage),
}


def judged_restore(case: RestoreCase) -> Verdict:
    """Play a case, and hold every invariant against it."""
    stage = played_restore(case)
    verdicts = {name: invariant(case, stage) for name, invariant in RESTORE_INVARIANTS.items()}
    tested = tuple(name for name, held in verdicts.items() if held is not None)
    return Verdict(case.name, tested, tuple(name for name in tested if not verdicts[name]))
