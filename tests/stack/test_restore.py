"""What a restore brings back, on the deployed stack: what one of its retirements deleted, compared field by field."""

import copy
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from uuid import uuid4

import pytest

from local.databrain.organisation import Embed, Organisation
from local.databrain.seed import organisation_of
from local.stack import RETIRE
from tests.restore_world import embeds_in, seed, without_times
from tests.stack.role import Role, assert_denied
from tests.stack.scene import RESTORE, SERVICE_TOKEN, JsonObject, Scene

NAME = "sales"
EMBEDS = ["board", "mirror"]  # of dashboards, in two data apps
SQL = "total / 1.19 -- SECRET SQL"
METRIC = "figure"  # an embed of a single metric


@dataclass(frozen=True)
class Retired:
    """A datamart that a retirement of the stack has deleted, and the organisation as it was before."""

    retirement_id: str
    before: Organisation
    backup_key: str
    backup: JsonObject

    @property
    def embeds(self) -> list[tuple[str, Embed]]:
        """The embeds that went with it, each with its data app."""
        return [(app, embed) for app, embed in embeds_in(self.before) if embed.embed_id in EMBEDS]


@pytest.fixture
def retired(scene: Scene) -> Retired:
    """A datamart with a semantic layer, tenants in columns, and embeds in two data apps."""
    return retire(scene, EMBEDS)


def retire(
    scene: Scene, embeds: list[str], *, name: str = NAME, sql: str = "", server: JsonObject | None = None
) -> Retired:
    """Retire the datamart with these embeds, under another name and with other SQL if given."""
    there = {**seed(**(server or {})), "serviceToken": SERVICE_TOKEN}
    spelled = json.dumps(there).replace(f'"{NAME}"', json.dumps(name))
    organisation = organisation_of(json.loads(spelled.replace(json.dumps(SQL), json.dumps(sql or SQL))))
    for app in organisation.data_apps.values():
        kept = tuple(embed for embed in app.embeds if embed.embed_id in [*embeds, "others"])
        organisation.data_apps[app.name] = replace(app, embeds=kept)
    scene.databrain.organisation = organisation
    before = copy.deepcopy(organisation)
    retirement_id = scene.ask(name, reviewedEmbeds=embeds, requireRestorable=True)
    result = scene.result(retirement_id).document
    assert result["outcome"] == "deleted"
    if not organisation.options.keeps_embeds:
        assert [embed.embed_id for _, embed in embeds_in(scene.databrain.organisation)] == ["others"]
    key = result["backup"]["key"]
    return Retired(retirement_id, before, key, scene.kept(key).document)


@pytest.mark.parametrize("new_name", [None, "sales \u0104\u010c e\u0301 \U0001f642"])
def test_it_comes_back(scene: Scene, retired: Retired, new_name: str | None) -> None:
    """The datamart, its semantic layer and its embeds are as they were, and guest tokens show the new embeds."""
    named = {} if new_name is None else {"asName": new_name}
    name, organisation = new_name or NAME, scene.databrain.organisation
    result = scene.restored(scene.ask_back(NAME, retired.retirement_id, **named)).document
    assert (result["outcome"], result["reason"], result["differences"]) == ("restored", None, [])
    assert (result["datamartName"], result["restoredAs"]) == (NAME, name)

    was, now = retired.before.datamarts[NAME], organisation.datamarts[name]
    assert now.configuration == was.configuration
    assert without_times(now.semantic_layer or {}) == without_times(was.semantic_layer or {})
    assert set(organisation.datamarts) == {name, "returns"}

    embeds = {embed.embed_id: (app, embed) for app, embed in embeds_in(organisation)}
    assert len(embeds) == len(EMBEDS) + 1
    assert {shown["embedId"] for shown in result["restoredEmbeds"]} == set(EMBEDS)
    for app, old in retired.embeds:
        (shown,) = (each for each in result["restoredEmbeds"] if each["embedId"] == old.embed_id)
        assert (shown["state"], shown["why"], shown["dataAppName"]) == ("created", None, app)
        new_app, new = embeds[shown["newEmbedId"]]
        as_it_was = replace(
            new,
            embed_id=old.embed_id,
            datamart=old.datamart,
            metadata=old.metadata,
            created_at=old.created_at,
            updated_at=old.updated_at,
        )
        assert (new_app, as_it_was) == (app, old)
        assert new.datamart == name
        assert_shown(organisation, app, shown["newEmbedId"])


def assert_shown(organisation: Organisation, data_app_name: str, embed_id: str) -> None:
    """A guest token of its data app shows the embed."""
    app = organisation.data_apps[data_app_name]
    token = organisation.create_guest_token(
        app, {"dataAppName": data_app_name, "clientId": "acme", "params": {"allowedEmbeds": [embed_id]}}
    )
    assert organisation.why_not_shown(token, embed_id, datetime.now(UTC)) is None


def test_an_embed_of_a_metric(scene: Scene) -> None:
    """No documented request tells the workspace of a single metric, so its embed is not restored."""
    retired = retire(scene, [*EMBEDS, METRIC])
    result = scene.restored(scene.ask_back(NAME, retired.retirement_id)).document
    assert (result["outcome"], result["reason"]) == ("restored", "with_differences")
    (missing,) = (each for each in result["restoredEmbeds"] if each["state"] == "not_restored")
    assert (missing["embedId"], missing["newEmbedId"]) == (METRIC, None)
    assert missing["why"] == "its workspace is unknown, because no dashboard is named"
    assert result["message"].startswith(
        "The datamart was created again. Embeds: 2 created with new IDs, 1 not restored."
    )


def test_what_is_kept(scene: Scene, retired: Retired) -> None:
    """Its evidence lies under its own prefix; the result holds neither SQL nor a value, and nothing holds a key."""
    restore_id = scene.ask_back(NAME, retired.retirement_id)
    result = scene.restored(restore_id)
    prefix = f"restores/{NAME}/{retired.retirement_id}/{restore_id}/"
    objects = [key for key in scene.new_objects() if key.startswith("restores/")]
    assert objects == sorted(
        prefix + name
        for name in (
            "differences.json",
            "embed-1.json",
            "embed-2.json",
            "intent.json",
            "receipt.json",
        )
    )
    assert "SECRET SQL" in json.dumps(retired.backup)
    assert "SECRET SQL" not in result.message
    stored = "".join(scene.kept(key).body.decode() for key in objects)
    assert "SECRET SQL" not in stored
    keys = [token.key for app in scene.databrain.organisation.data_apps.values() for token in app.tokens]
    assert not [secret for secret in (SERVICE_TOKEN, *keys) if secret in stored]


def test_a_preview(scene: Scene, retired: Retired) -> None:
    """A dry run says what would come back and changes nothing."""
    before = copy.deepcopy(scene.databrain.organisation)
    result = scene.restored(scene.ask_back(NAME, retired.retirement_id, dryRun=True)).document
    assert (result["outcome"], result["reason"]) == ("restore_planned", "dry_run")
    assert [shown["state"] for shown in result["restoredEmbeds"]] == ["created"] * len(EMBEDS)
    assert (scene.databrain.organisation.datamarts, embeds_in(scene.databrain.organisation)) == (
        before.datamarts,
        embeds_in(before),
    )


def test_twice(scene: Scene, retired: Retired) -> None:
    """The second restore finds the name taken; a duplicate of the first publishes the same result again."""
    event = scene.restore_event(NAME, retired.retirement_id)
    first = scene.stack.invoke(event, RESTORE)
    assert first.payload["outcome"] == "restored"
    assert scene.stack.invoke(event, RESTORE).payload == first.payload
    another = scene.stack.invoke(scene.restore_event(NAME, retired.retirement_id), RESTORE)
    assert (another.payload["outcome"], another.payload["reason"]) == ("restore_blocked", "name_taken")
    assert len(embeds_in(scene.databrain.organisation)) == len(EMBEDS) + 1


def test_a_lost_answer(scene: Scene, retired: Retired) -> None:
    """A create that was carried out and whose answer is lost is not sent again."""
    scene.databrain.requests.clear()
    scene.databrain.faults.replace(
        [{"route": route, "fault": "lost_answer"} for route in ("create_datamart", "create_embed")]
    )
    result = scene.restored(scene.ask_back(NAME, retired.retirement_id)).document
    assert (result["outcome"], result["reason"]) == ("restored", None)
    sent = [request["path"] for request in scene.databrain.requests if request["method"] == "POST"]
    assert sent.count("/api/v2/data-app/datamarts") == 1
    assert sent.count("/api/v2/data-app/embeds") == len(EMBEDS)
    assert len(embeds_in(scene.databrain.organisation)) == len(EMBEDS) + 1


def test_a_redrive(scene: Scene, retired: Retired) -> None:
    """An abandoned restore that is redriven to Scheduling is forwarded, and goes on where it stopped."""
    event = scene.restore_event(NAME, retired.retirement_id)
    scene.stack.put_message(json.dumps(event), "SchedulingQueueUrl")
    result = scene.restored(event["detail"]["restoreId"]).document
    assert result["outcome"] == "restored"


# ---- Permissions -----------------------------------------------------------------------------------------------------


@pytest.fixture
def role(scene: Scene) -> Role:
    """The role of the restore function."""
    return Role(scene.stack, RESTORE)


def unknown(scene: Scene) -> JsonObject:
    """Ask to restore what no retirement has deleted."""
    return scene.restore_event(f"absent-{uuid4()}", "never")


def known(scene: Scene) -> JsonObject:
    """Ask again for what has ended."""
    ended = unknown(scene)
    assert not scene.stack.invoke(ended, RESTORE).error
    return ended


def deleted(scene: Scene) -> JsonObject:
    """Ask to restore what a retirement has deleted."""
    name = scene.datamart()
    event = scene.event(name)
    assert scene.stack.invoke(event).payload["outcome"] == "deleted"
    return scene.restore_event(name, event["detail"]["retirementId"])


def bad_event(scene: Scene) -> JsonObject:
    """Send what is rejected."""
    return scene.restore_event("sales", "leaves", dryRum=True)


def known_bad_event(scene: Scene) -> JsonObject:
    """Send again what was rejected before."""
    bad = bad_event(scene)
    assert not scene.stack.invoke(bad, RESTORE).error
    return bad


# The permissions that a failing invocation shows: what is asked of it, and how its error begins (a regular expression).
SHOWN_BY_FAILURES = {
    "dynamodb:PutItem": (unknown, "DynamoDB PutItem failed"),
    "s3:GetObject backups/*": (deleted, "S3 GetObject s3://[^/]+/backups/"),
    "s3:GetObject rejected/*": (known_bad_event, "S3 GetObject s3://[^/]+/rejected/"),
    "s3:GetObject restores/*": (known, "S3 GetObject s3://[^/]+/restores/"),
    "s3:GetObject retirements/*": (deleted, "S3 GetObject s3://[^/]+/retirements/"),
    "s3:PutObject rejected/*": (bad_event, "S3 PutObject s3://[^/]+/rejected/"),
    "s3:PutObject restores/*": (unknown, "S3 PutObject s3://[^/]+/restores/"),
    "secretsmanager:GetSecretValue": (deleted, "ServiceTokenSecretArn: Secrets Manager answers"),
    "sns:Publish": (unknown, "SNS Publish"),
}
# Without it, a lock stays until it expires, and a datamart that is not what was sent is not recognised.
NOT_FATAL = ["dynamodb:DeleteItem", "dynamodb:GetItem"]
# As in test_permissions.py.
NOT_SHOWN_BY_MINISTACK = [
    "s3:ListBucket",
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:ReceiveMessage",
]


def test_who_reads_backups(scene: Scene) -> None:
    """Of all functions' roles, retire's and this one read backups, and retire's alone writes them."""
    functions = [output for output in scene.stack.outputs if output.endswith("FunctionName")]
    granted = {function: Role(scene.stack, function).permissions for function in functions}
    whole = {"s3:GetObject *", "s3:PutObject *"}
    assert not [function for function, permissions in granted.items() if whole & set(permissions)]
    readers = {function for function in functions if "s3:GetObject backups/*" in granted[function]}
    writers = {function for function in functions if "s3:PutObject backups/*" in granted[function]}
    assert (readers, writers) == ({RETIRE, RESTORE}, {RETIRE})


def test_each_permission_has_its_test(role: Role) -> None:
    """The role has the permissions that are tested here, and no others; so it cannot write what a retirement keeps."""
    assert role.permissions == sorted([*SHOWN_BY_FAILURES, *NOT_FATAL, *NOT_SHOWN_BY_MINISTACK])


@pytest.mark.parametrize("permission", SHOWN_BY_FAILURES)
def test_the_function_fails_without(scene: Scene, role: Role, permission: str) -> None:
    """Without the permission the attempt fails, and the error names the call."""
    event_for, expected = SHOWN_BY_FAILURES[permission]
    event = event_for(scene)
    with role.without(permission):
        invocation = scene.stack.invoke(event, RESTORE)
    assert_denied(invocation, expected)


@pytest.mark.parametrize("permission", [*NOT_FATAL, *NOT_SHOWN_BY_MINISTACK])
def test_the_role_may_not_without(role: Role, permission: str) -> None:
    """The role may do it, by IAM's own judgement, and only by this permission."""
    role.require(permission)
