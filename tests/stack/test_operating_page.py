"""docs/operating.md on a stack at work; `test_deploy_page.py` follows what it says of setting up and of removing."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from uuid import uuid4

import pytest

from local.emulator import REGION
from local.stack import STACK_NAME
from tests.docs.pages import Page
from tests.stack.checkout import check_out
from tests.stack.scene import SERVICE_TOKEN, JsonObject, Scene
from tests.stack.shell import Shell

PAGE = Page("docs/operating.md")
(TOOLS,) = PAGE.commands("Operating")
ENDPOINT = '--endpoint-url "$AWS_ENDPOINT_URL"'
SECRET = "databrain-service-token"  # as `EmbeddedStack.start` calls it


@pytest.fixture
def shell(scene: Scene, shell_environment: dict[str, str], tmp_path: Path) -> Shell:  # noqa: ARG001 -- as new
    """A person's shell in a checkout."""
    return Shell(shell_environment, check_out(tmp_path / "checkout"))


@pytest.fixture
def _token_as_before(scene: Scene) -> Iterator[None]:
    """Put the token back that all other tests have; a warm function would go on with another one."""
    yield
    scene.stack.secretsmanager.put_secret_value(SecretId=SECRET, SecretString=SERVICE_TOKEN)
    with scene.stack.settings():
        pass


def test_dashboard_and_report(shell: Shell, scene: Scene) -> None:
    """The dashboard's address names this stack's one and its region, and the report tells of what was retired."""
    dashboard, report = PAGE.commands("Dashboard and report")
    name = scene.datamart()
    scene.result(scene.ask(name))
    shown = scene.stack.outputs["DashboardName"]
    assert shell.run(TOOLS, dashboard).strip().endswith(f"/home?region={REGION}#dashboards/dashboard/{shown}")
    shell.run(report)
    assert name in (shell.folder / "report.html").read_text()


@pytest.mark.usefixtures("_token_as_before")
def test_change_the_service_token(shell: Shell, scene: Scene) -> None:
    """A token that is put into the secret before the old one is revoked fails no request, nor an attempt at one."""
    (put,) = PAGE.commands("Change the service token")
    scene.result(scene.ask(scene.datamart()))  # from here on the function has the old one in its memory
    (shell.folder / "token.txt").write_text("the-token-after-the-change\n")
    shell.run(put.replace("databrain/service-token", SECRET))
    assert not (shell.folder / "token.txt").exists()
    scene.databrain.organisation.service_token = "the-token-after-the-change"
    retirement_id = scene.ask(scene.datamart())
    assert scene.result(retirement_id).document["outcome"] == "deleted"
    assert [line for line in scene.log_of(retirement_id) if line.get("message") == "attempt failed"] == []


@pytest.mark.usefixtures("_token_as_before")
def test_the_token_is_revoked_first(shell: Shell, scene: Scene) -> None:
    """A token that is revoked before there is another one fails attempts; with the new one the request goes on."""
    (put,) = PAGE.commands("Change the service token")
    scene.databrain.organisation.service_token = "the-token-that-comes-late"
    with scene.stack.settings(RETRY_DELAYS="5,5,5,5,5"):
        retirement_id = scene.ask(scene.datamart())
        assert scene.failure(retirement_id)["reason"] == "databrain_unauthorized"
        (shell.folder / "token.txt").write_text("the-token-that-comes-late\n")
        shell.run(put.replace("databrain/service-token", SECRET))
        assert scene.result(retirement_id).document["outcome"] == "deleted"


def test_alarm_states(shell: Shell, scene: Scene) -> None:
    """Each alarm is shown with its state."""
    *_, states = PAGE.commands("Alarms")
    shown = [line.split("\t")[0] for line in shell.run(TOOLS, states).splitlines()]
    alarms = scene.stack.cloudwatch.describe_alarms()["MetricAlarms"]
    assert sorted(shown) == sorted(alarm["AlarmName"] for alarm in alarms if alarm["AlarmName"].startswith(STACK_NAME))
    assert shown


def test_erase_a_backup(shell: Shell, scene: Scene) -> None:
    """One backup is erased with all its versions, and nothing else is."""
    (erase,) = PAGE.commands("Who reads backups, and how to erase one")
    result = scene.result(scene.ask(scene.datamart())).document
    key, bucket = result["backup"]["key"], scene.stack.outputs["EvidenceBucketName"]
    scene.stack.s3.delete_object(Bucket=bucket, Key=key)  # leaves a marker, as a lifecycle does
    others = [each for each in versions(scene, bucket) if each["Key"] != key]
    assert len(versions(scene, bucket)) == len(others) + 2
    shell.run(TOOLS, erase.replace("backups/sales-analytics/offboard-acme/backup-0123456789abcdef.json", key))
    assert versions(scene, bucket) == others


def test_what_waits(shell: Shell, scene: Scene) -> None:
    """What waits in each queue is counted before a stack is removed."""
    waiting, *_ = PAGE.commands("Remove the stack")
    scene.stack.put_message("no request", "FailuresQueueUrl")
    assert shell.run(TOOLS, waiting).split() == [*["0", "0"] * 3, "1", "0"]


# As AWS does (S3 API reference, DeleteObjects), and MiniStack does not.
REFUSING = """aws() {
  if [[ "$*" = *delete-objects* ]] && (( $(grep -c VersionId versions.json) > 1000 )); then
    echo MalformedXML >&2
    return 254
  fi
  command aws --endpoint-url "$AWS_ENDPOINT_URL" "$@"
}"""


def versions(scene: Scene, bucket: str) -> list[JsonObject]:
    """All that a bucket holds, delete markers too."""
    pages = scene.stack.s3.get_paginator("list_object_versions").paginate(Bucket=bucket)
    return [{**each} for page in pages for each in (*page.get("Versions", []), *page.get("DeleteMarkers", []))]


@pytest.fixture
def bucket(shell: Shell, scene: Scene) -> str:
    """What a removed stack has left: a bucket with versions."""
    s3, name = scene.stack.s3, f"left-{uuid4()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": REGION})
    s3.put_bucket_versioning(Bucket=name, VersioningConfiguration={"Status": "Enabled"})
    (shell.folder / "resources.txt").write_text(f"EvidenceBucket\t{name}\n")
    return name


def test_remove_what_stays(shell: Shell, scene: Scene, bucket: str) -> None:
    """However many versions and delete markers there are, the bucket is emptied by requests that S3 takes."""
    empty_bucket, _ = PAGE.commands("Remove what stays")
    keys = [f"plans/sales/{number}.json" for number in range(900)]
    with ThreadPoolExecutor() as pool:
        list(pool.map(lambda key: scene.stack.s3.put_object(Bucket=bucket, Key=key, Body=b"{}"), keys))
    scene.stack.s3.delete_objects(Bucket=bucket, Delete={"Objects": [{"Key": key} for key in keys[:300]]})
    assert len(versions(scene, bucket)) == 1_200

    shell.run(REFUSING, empty_bucket)

    assert bucket not in {entry["Name"] for entry in scene.stack.s3.list_buckets()["Buckets"]}


def test_what_cannot_be_removed(shell: Shell, scene: Scene, bucket: str) -> None:
    """Where S3 refuses to delete, the commands say so and end."""
    empty_bucket, _ = PAGE.commands("Remove what stays")
    scene.stack.s3.put_object(Bucket=bucket, Key="plan", Body=b"{}")
    for refusal in ("echo MalformedXML >&2; return 254", "echo AccessDenied"):
        refusing = (
            f'aws() {{ [[ "$*" != *delete-objects* ]] || {{ {refusal}; return; }}; command aws {ENDPOINT} "$@"; }}'
        )
        shell.run(refusing, f"! {{ {empty_bucket} }}")
    assert len(versions(scene, bucket)) == 1
