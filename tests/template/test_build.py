"""What `make build` leaves: the very files that are deployed."""

import json
import re
import subprocess
import sys
from importlib.metadata import Distribution, distributions
from pathlib import Path

import pytest

from layers.dependencies.trim import OPERATIONS

CHECKOUT = Path(__file__).parents[2]
BUILT = CHECKOUT / ".aws-sam" / "build"
DEPENDENCIES = BUILT / "DependenciesLayer" / "python"
RETIREMENT = BUILT / "RetirementLayer" / "python" / "retirement"
FUNCTIONS = {name: BUILT / f"{name.title()}Function" for name in ("retire", "schedule", "restore", "sweep", "webhook")}

UNCHECKED_HASH = 0b01  # flags of a byte-code file, PEP 552
ENVIRONMENT = {
    "AWS_DEFAULT_REGION": "eu-central-1",
    "ENVIRONMENT_NAME": "test",
    "MODE": "plan",
    "DATABRAIN_BASE_URL": "https://databrain.example.com",
    "DATABRAIN_API": "current",
    "SERVICE_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:databrain-AbCdEf",
    "BACKUP_BY_DEFAULT": "true",
    "REQUIRE_RESTORABLE": "false",
    "REHEARSE_BY_DEFAULT": "false",
    "UNDETERMINED_EMBEDS": "block",
    "EMBED_MAP_URI": "",
    "RETIRABLE_DATAMARTS": "*",
    "PROTECTED_DATAMARTS": "",
    "DATAMART_LISTS_URI": "",
    "MAX_RETIREMENTS_PER_DAY": "25",
    "EVENT_SOURCES": "datamart.lifecycle",
    "APPROVAL_SOURCES": "",
    "APPROVALS_REQUIRED": "0",
    "APPROVAL_EXPIRES_IN": "14",
    "RETRY_DELAYS": "60,300,900,2700,7200",
    "REMINDER_LEAD_TIME": "24",
    "REQUESTS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/requests",
    "RESTORES_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/restores",
    "SCHEDULING_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/scheduling",
    "REQUESTS_QUEUE_ARN": "arn:aws:sqs:eu-central-1:123456789012:requests",
    "SCHEDULING_QUEUE_ARN": "arn:aws:sqs:eu-central-1:123456789012:scheduling",
    "FAILURES_QUEUE_ARN": "arn:aws:sqs:eu-central-1:123456789012:failures",
    "SCHEDULE_GROUP_NAME": "retirements",
    "TIMER_ROLE_ARN": "arn:aws:iam::123456789012:role/timers",
    "EVIDENCE_BUCKET_NAME": "evidence",
    "COORDINATION_TABLE_NAME": "coordination",
    "RESULTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:results",
    "SWEEP_POLICY_URI": "s3://policies/sweep.json",
    "MAX_PER_SWEEP": "25",
    "MAX_SWEEP_PERCENT": "10",
    "WEBHOOK_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:webhook-AbCdEf",
    "EVENT_BUS_NAME": "default",
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
}


@pytest.fixture(scope="session", autouse=True)
def _built() -> None:
    if not (BUILT / "template.yaml").is_file():
        pytest.fail("there is nothing to test: run `make build` first")


def packages() -> list[Distribution]:
    """The packages in the dependency layer."""
    return list(distributions(path=[str(DEPENDENCIES)]))


def normalised(name: str) -> str:
    """A package's name as indexes compare it (PEP 503)."""
    return re.sub(r"[-_.]+", "-", name).lower()


def run(code: str, function: str = "retire") -> str:
    """Run Python code as Lambda would: on the built files and the standard library alone. Return what it printed."""
    path = f"{FUNCTIONS[function]}:{RETIREMENT.parent}:{DEPENDENCIES}"
    finished = subprocess.run(  # noqa: S603  # our own interpreter, code of this file
        [sys.executable, "-S", "-s", "-B", "-c", code],
        env=ENVIRONMENT | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )
    assert finished.returncode == 0, finished.stderr
    return finished.stdout


def test_the_layer_holds_what_is_pinned() -> None:
    """The dependency layer holds every pinned run-time package and no other: no tests, no checks, no tools."""
    pinned = re.findall(r"^([\w.-]+)==([\w.]+)", (CHECKOUT / "requirements" / "runtime.txt").read_text(), re.MULTILINE)
    assert {(normalised(package.name), package.version) for package in packages()} == {
        (normalised(name), version) for name, version in pinned
    }
    assert not (DEPENDENCIES / "bin").exists()


def test_the_layer_is_pure_python() -> None:
    """Every package is pure Python, so that the layer runs on every architecture and version."""
    for package in packages():
        assert "Root-Is-Purelib: true" in (package.read_text("WHEEL") or ""), package.name
    assert not [file for file in DEPENDENCIES.rglob("*") if file.suffix in {".so", ".pyd", ".dylib"}]


def test_schemas_are_real_files() -> None:
    """The package carries the published schemas as files of its own, equal to the only copy in the repository."""
    published = CHECKOUT / "events" / "schemas"
    assert not [path for path in BUILT.rglob("*") if path.is_symlink()]
    assert {file.name: file.read_bytes() for file in (RETIREMENT / "delivery" / "schemas").iterdir()} == {
        file.name: file.read_bytes() for file in published.iterdir()
    }


def test_the_package_is_complete() -> None:
    """The retirement layer and the functions hold our modules as they are in the repository, and nothing else."""
    source = CHECKOUT / "layers" / "retirement" / "python" / "retirement"
    assert {file.relative_to(RETIREMENT): file.read_bytes() for file in RETIREMENT.rglob("*.py")} == {
        file.relative_to(source): file.read_bytes() for file in source.rglob("*.py")
    }, "the sources are newer than the build: run `make build`"
    for name, function in FUNCTIONS.items():
        assert {entry.name for entry in function.iterdir()} == {"app.py", "__pycache__"}
        assert (function / "app.py").read_bytes() == (CHECKOUT / "functions" / name / "app.py").read_bytes()


def test_every_module_has_byte_code() -> None:
    """Every module has byte code of one Python version, which is taken without a look at the module's time or text."""
    modules = {file.relative_to(BUILT) for file in BUILT.rglob("*.py")}
    compiled = {file: file.name.split(".") for file in BUILT.rglob("*.pyc")}
    assert {(file.parents[1] / f"{name}.py").relative_to(BUILT) for file, (name, _, _) in compiled.items()} == modules
    assert len({version for _, version, _ in compiled.values()}) == 1
    assert {int.from_bytes(file.read_bytes()[4:8], "little") for file in compiled} == {UNCHECKED_HASH}


@pytest.mark.parametrize("function", FUNCTIONS)
def test_a_function_starts_on_the_artifact_alone(function: str) -> None:
    """An entry point imports, with every client set up, on nothing but the built files; none of them is a tool's."""
    foreign = {"click", "rich", "pygments", "pydantic", "jsonschema", "pytest"}
    loaded = run(f"import sys, app; print(callable(app.handler), sorted({foreign} & sys.modules.keys()))", function)
    assert loaded == "True []\n"


def test_scheduling_knows_no_databrain() -> None:
    """The schedule function imports nothing that it has no use for: it starts cold, too."""
    loaded = run("import sys, app; print(sorted({'httpx', 'tenacity', 'boto3'} & sys.modules.keys()))", "schedule")
    assert loaded == "['boto3']\n"


def test_the_clients_know_what_is_in_use() -> None:
    """The layer's botocore offers exactly the operations in use."""
    code = (
        "import json, boto3; session = boto3.Session(); print(json.dumps({"
        "name: session.client(name).meta.service_model.operation_names for name in session.get_available_services()}))"
    )
    assert {name: set(operations) for name, operations in json.loads(run(code)).items()} == OPERATIONS
