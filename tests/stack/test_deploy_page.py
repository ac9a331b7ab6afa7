"""docs/deploy.md, followed from an empty account to the first retirement, and docs/operating.md to the last trace."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.databrain.server import serve
from local.databrain.state import Databrain
from local.emulator import REGION, run_emulator
from local.forking import forked
from local.stack import SAM, STACK_NAME, EmbeddedStack
from tests.docs.pages import Page
from tests.stack.checkout import MAKE, check_out
from tests.stack.scene import DATA_APP_KEY, DEADLINE, SEED, SERVICE_TOKEN, JsonObject
from tests.stack.shell import PREAMBLE, Shell

SAM_MODULES = ("deploy.command", "deploy.deploy_context", "deploy.guided_context", "package.package_context")
DEPLOY, OPERATING = Page("docs/deploy.md"), Page("docs/operating.md")
GUIDED_SECONDS = 180
EMBED, DATAMART = "b1946ac9", "sales-analytics"  # as on the page

# Whoever deploys says yes to the changes that are shown.
YES = 'sam() { echo y | command sam "$@" >> deploy.log 2>&1 || { tail -n 40 deploy.log >&2; false; }; }'
# A deployment takes its time, so what several blocks set is deployed at once.
LATER = 'sam() { [[ "$1 $2" = "deploy --parameter-overrides" ]] && printf "%s\\n" "${@:3}" >> overrides.txt; }'


class Account:
    """An AWS account with nothing in it, a Databrain, and a checkout, with a person before it."""

    def __init__(self, shell: Shell, stack: EmbeddedStack, databrain: Databrain) -> None:
        self._shell = shell
        self._known: list[str] = []
        self.stack = stack
        self.databrain = databrain

    @property
    def folder(self) -> Path:
        """The checkout."""
        return self._shell.folder

    def knows(self, block: str) -> None:
        """Have what a block sets and defines in the shell from now on."""
        self._known.append(block)

    def run(self, block: str) -> str:
        """Run a block of a page as it stands, and return what it prints."""
        printed = self._shell.run(YES, MAKE, *self._known, block)
        if "sam deploy" in block:
            self._repair()
        return printed

    def set(self, *blocks: str) -> None:
        """Run blocks that each deploy with other parameters, and deploy with all of them."""
        for block in blocks:
            self._shell.run(LATER, *self._known, block)
        self.run('mapfile -t overrides < overrides.txt; sam deploy --parameter-overrides "${overrides[@]}"')

    def guide(self, block: str, **answers: str) -> str:
        """Run a block that asks, and return all that it shows; the default is the answer to any other question."""
        script = "\n".join([PREAMBLE, *self._known, block])
        with subprocess.Popen(  # noqa: S603 -- our own page
            ["/bin/bash", "-c", script],
            cwd=self.folder,
            env=self._shell.environment,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        ) as process:
            assert process.stdin is not None
            assert process.stdout is not None
            shown, question, deadline = "", "", time.monotonic() + GUIDED_SECONDS
            while character := process.stdout.read(1):
                shown, question = shown + character, question + character
                assert time.monotonic() < deadline, shown
                if question.endswith("]: "):
                    given = (answer for words, answer in answers.items() if words.replace("_", " ") in question)
                    process.stdin.write(f"{next(given, '')}\n")
                    process.stdin.flush()
                    question = ""
        assert process.returncode == 0, shown
        self._repair()
        return shown

    def receipt(self, block: str, retirement_id: str) -> JsonObject:
        """Run the block that reads a receipt, as soon as that is there."""
        deadline = time.monotonic() + DEADLINE
        while not self.stack.evidence(f"retirements/{DATAMART}/{retirement_id}/receipt.json"):
            assert time.monotonic() < deadline
            time.sleep(0.5)
        found: JsonObject = json.loads(self.run(block))
        return found

    def parameters(self) -> dict[str, str]:
        """What the stack is set to."""
        (stack,) = self.stack.cloudformation.describe_stacks(StackName=STACK_NAME)["Stacks"]
        return {parameter["ParameterKey"]: parameter["ParameterValue"] for parameter in stack["Parameters"]}

    def _repair(self) -> None:
        """As `EmbeddedStack.start` does: a template's parameter reaches MiniStack's poller as text and stops it."""
        for mapping in self.stack.lambda_.list_event_source_mappings()["EventSourceMappings"]:
            concurrency = int(mapping["ScalingConfig"]["MaximumConcurrency"])
            self.stack.lambda_.update_event_source_mapping(
                UUID=mapping["UUID"], ScalingConfig={"MaximumConcurrency": concurrency}
            )


@pytest.fixture
def sam(tmp_path: Path) -> Iterator[Path]:
    """A folder with the SAM CLI, for a `PATH`: it is started six times."""
    folder, modules = tmp_path / "sam", ["samcli.cli.main", *(f"samcli.commands.{name}" for name in SAM_MODULES)]
    folder.mkdir()
    with forked(folder / "sam", SAM.with_name("python"), modules, program=SAM):
        yield folder


@pytest.fixture
def account(aws: Path, sam: Path, tmp_path: Path) -> Iterator[Account]:
    """The account."""
    checkout, emulated = check_out(tmp_path / "checkout"), tmp_path / "emulator"
    emulated.mkdir()
    (checkout / "token.txt").write_text(f"{SERVICE_TOKEN}\n")
    (checkout / "staging-token.txt").write_text('{"token": "another one"}')
    with serve(organised()) as databrain, run_emulator(emulated) as emulator:
        settings = emulated / "home" / ".aws-sam" / "metadata.json"
        settings.parent.mkdir()
        settings.write_text(json.dumps({"lastVersionCheck": time.time()}))  # no look at a package index
        environment = {
            **emulator.environment,
            "PATH": f"{aws}:{sam}:{emulator.environment['PATH']}",
            "SAM_CLI_TELEMETRY": "0",
            "SAM_CLI_POLL_DELAY": "0.2",
            "BASE_URL": databrain.url,  # of `make embed-map`
        }
        account = Account(Shell(environment, checkout), EmbeddedStack(emulator), databrain)
        account.stack.s3.create_bucket(Bucket="your-bucket", CreateBucketConfiguration={"LocationConstraint": REGION})
        yield account


def organised() -> JsonObject:
    """The datamart of the page, and an embed of which nothing tells that it uses another one."""
    table = {"tableName": "orders", "datamartTableColumns": [{"columnName": "id", "datatype": "integer"}]}
    made = {"createdAt": "2025-03-04T09:30:00.000Z", "companyIntegration": {"name": "warehouse"}}
    embed = {"embedId": EMBED, "datamart": "churn", "createdAt": "2025-03-04T09:30:00.000Z"}
    return {
        **SEED,
        "datamarts": [{"name": name, "datamartTables": [table], **made} for name in (DATAMART, "churn")],
        "dataApps": [{"name": "Customer Portal", "tokens": [{"key": DATA_APP_KEY}], "embeds": [embed]}],
    }


def test_from_nothing_to_nothing(account: Account) -> None:
    """Both pages are followed, block by block: secret, stack, first request, embeds, retirement, settings, removal."""
    first_retirement(account)
    settings(account)
    removal(account)


def first_retirement(account: Account) -> None:
    """From the secret to a datamart that is gone."""
    (secret,) = DEPLOY.commands("The secret")
    (_build,) = DEPLOY.commands("Build")  # `make build` has run it
    deploy, outputs = DEPLOY.commands("Deploy in plan mode")
    (subscribe,) = DEPLOY.commands("Subscribe to the results")
    (ask,) = DEPLOY.commands("Send the first request")
    read, tried, everything = DEPLOY.commands("Read the result")
    list_embeds, upload, ask_again, read_again = DEPLOY.commands("Day one with embeds")
    switch_on, carry_out, read_end = DEPLOY.commands("Switch on")

    *_, arn = account.run(f'{secret}echo "$ARN"').splitlines()
    assert not (account.folder / "token.txt").exists()
    account.knows(f"ARN={arn}")
    samconfig = account.folder / "samconfig.toml"
    before = samconfig.read_text()
    shown = account.guide(
        deploy,
        DatabrainBaseUrl=account.databrain.url,
        Save_arguments_to_configuration_file="n",
        Deploy_this_changeset="y",
        authentication="y",
    )
    assert "Successfully created/updated stack" in shown
    assert samconfig.read_text() == before
    parameters = account.parameters()
    assert (parameters["EnvironmentName"], parameters["Mode"]) == ("prod", "plan")
    account.knows(outputs)
    assert account.stack.outputs["ResultsTopicArn"] in account.run(subscribe)

    account.run(ask)
    result = account.receipt(read, "first-look")
    assert (result["outcome"], result["reason"]) == ("blocked", "dependents_undetermined")
    assert account.run(tried).split()[:2] == ["0", "0"]
    assert f"retirements/{DATAMART}/first-look/receipt.json" in account.run(everything)

    assert "1 embed, 1 still to be filled in" in account.run(list_embeds)
    embed_map = account.folder / "embed-map.json"
    entries = json.loads(embed_map.read_text())
    (example,) = (block.text for block in DEPLOY.blocks if block.text.startswith(f'"{EMBED}"'))
    assert entries.keys() == json.loads(f"{{{example}}}").keys()
    assert entries[EMBED].keys() == json.loads(f"{{{example}}}")[EMBED].keys()
    entries[EMBED]["datamart"] = "churn"
    embed_map.write_text(json.dumps(entries))
    account.run(upload)
    account.run(ask_again)
    planned = account.receipt(read_again, "second-look")
    assert (planned["outcome"], planned["reason"]) == ("planned", "dry_run")

    account.run(switch_on)
    assert account.parameters() == parameters | {
        "Mode": "retire",
        "EmbedMapUri": "s3://your-bucket/embed-map.json",
    }
    account.run(carry_out)
    deleted = account.receipt(read_end, "offboard-acme")
    assert (deleted["outcome"], deleted["planId"]) == ("deleted", planned["planId"])
    assert set(account.databrain.organisation.datamarts) == {"churn"}


def settings(account: Account) -> None:
    """Everything else that is set, beside and after the first retirement."""
    (long_lists,) = DEPLOY.commands("Long lists")
    bus, let_in = DEPLOY.commands("Who may ask")
    (boundary,) = DEPLOY.commands("A permissions boundary")
    (key,) = DEPLOY.commands("A key of your own")
    (staging,) = DEPLOY.commands("Several environments")
    (update,) = DEPLOY.commands("Update")
    wake, states = OPERATING.commands("Alarms")
    (raise_limits,) = OPERATING.commands("Raise limits")
    policies = [block.text for block in DEPLOY.blocks if '"Statement"' in block.text]
    (account.folder / "bus-policy.json").write_text(policies[1])
    (account.folder / "boundary.json").write_text(policies[2])
    (lists,) = (block.text for block in DEPLOY.blocks if block.text.startswith('{"protected"'))
    (account.folder / "datamart-lists.json").write_text(lists)

    account.set(long_lists, bus, boundary, key, wake, raise_limits)
    account.run(let_in)
    listed = account.stack.events.list_rules(EventBusName="lifecycle")["Rules"]
    rules = [rule for rule in listed if "ApprovedRule" not in rule["Name"]]  # it has ApprovalSources
    sources = [json.loads(rule["EventPattern"])["source"][:2] for rule in rules]
    assert sources == [["crm", "billing"]] * len(rules)
    assert len(rules) == 4
    assert "Policy" in account.stack.events.describe_event_bus(Name="lifecycle")
    parameters = account.parameters()
    assert account.stack.iam.get_policy(PolicyArn=parameters["PermissionsBoundaryArn"])
    secret = account.stack.secretsmanager.describe_secret(SecretId="databrain/service-token")
    assert secret["KmsKeyId"] == parameters["ServiceTokenKeyArn"]
    alarms = account.stack.cloudwatch.describe_alarms(AlarmNamePrefix=STACK_NAME)["MetricAlarms"]
    assert {tuple(alarm["AlarmActions"]) for alarm in alarms} == {(parameters["AlarmTopicArn"],)}
    assert len(account.run(states).splitlines()) == len(alarms)
    mappings = account.stack.lambda_.list_event_source_mappings()["EventSourceMappings"]
    most = [mapping["ScalingConfig"]["MaximumConcurrency"] for mapping in mappings]
    assert sorted(most) == [2, 20, 20]  # of restores, always two at once
    assert (parameters["MaxRetirementsPerDay"], parameters["Mode"]) == ("100", "retire")
    assert account.stack.s3.head_object(Bucket="your-bucket", Key="datamart-lists.json")
    assert parameters["DatamartListsUri"] == "s3://your-bucket/datamart-lists.json"

    account.run(update)
    assert account.parameters() == parameters
    account.run(staging)
    queues = account.stack.sqs.list_queues(QueueNamePrefix=f"{STACK_NAME}-staging-")["QueueUrls"]
    assert len(queues) == 4


def removal(account: Account) -> None:
    """From a retirement with a date ahead to an account in which nothing is left of the stack."""
    waiting, timers, remove = OPERATING.commands("Remove the stack")
    empty_bucket, rest = OPERATING.commands("Remove what stays")
    (guard,) = OPERATING.commands("Guard the evidence")
    account.run(guard.replace('"$(resource EvidenceBucket)"', '"$(STACK=$STACK-staging; resource EvidenceBucket)"'))

    assert account.run(waiting).split() == ["0"] * 8
    put_timer(account, '{"detail": "an event of a date ahead"}')
    assert account.run(timers).split("\t") == ["at(2036-01-01T00:00:00)", '{"detail": "an event of a date ahead"}\n']
    bucket, group = (account.stack.outputs[name] for name in ("EvidenceBucketName", "ScheduleGroupName"))
    assert group in schedule_groups(account)
    account.run(remove)
    assert account.run(f"aws s3 ls s3://{bucket}/retirements/{DATAMART}/") != ""
    account.run(f"aws s3 rm s3://{bucket}/retirements/{DATAMART}/first-look/receipt.json")  # leaves a delete marker
    account.run(f"{empty_bucket}\n{rest}")

    left = account.stack.s3.list_buckets()["Buckets"]
    assert bucket not in {entry["Name"] for entry in left}
    kept = account.stack.sqs.list_queues(QueueNamePrefix=STACK_NAME)["QueueUrls"]
    groups = account.stack.logs.describe_log_groups()["logGroups"]
    names = [*kept, *(group["logGroupName"] for group in groups)]
    assert [name for name in names if f"{STACK_NAME}-staging-" not in name] == []
    assert group not in schedule_groups(account)


def schedule_groups(account: Account) -> set[str]:
    """The names of the groups of timers that there are."""
    return {group["Name"] for group in account.stack.scheduler.list_schedule_groups()["ScheduleGroups"]}


def put_timer(account: Account, event: str) -> None:
    """Set a timer as the schedule function does; on MiniStack its role would need a repair before."""
    account.stack.scheduler.create_schedule(
        Name="retire-1",
        GroupName=account.stack.outputs["ScheduleGroupName"],
        ScheduleExpression="at(2036-01-01T00:00:00)",
        FlexibleTimeWindow={"Mode": "OFF"},
        Target={
            "Arn": "arn:aws:sqs:eu-central-1:000000000000:requests",
            "RoleArn": "arn:aws:iam::000000000000:role/timers",
            "Input": event,
        },
    )
