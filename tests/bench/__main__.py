"""`make bench`: what one retirement takes, in numbers that do not depend on the machine.

This process stays small and leaves large things to others: on Linux a child's peak of memory starts at its parent's.
"""

# ruff: noqa: T201  # printing is what it is for

import contextlib
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from local.databrain.estate import datamart_name
from tests.bench.progress import each

CHECKOUT = Path(__file__).resolve().parents[2]
BUILD = CHECKOUT / ".aws-sam" / "build"
PLAIN_PYTHON = CHECKOUT / ".venv" / "bench" / "bin" / "python"

MIB = 1024 * 1024
DATA_APPS = 5
MAX_REQUESTS = 6 + 2 * DATA_APPS
MAX_HELP = 300  # milliseconds
MAX_MIB = 128
# Of each the last datamart is retired, which none of the 15 embeds uses.
ORGANISATIONS = ((20, "current"), (2_000, "current"), (10_000, "current"), (10_000, "legacy"))

RUNS = 15
MARKS = (0.8, 0.6)
FUNCTION_ENVIRONMENT = {
    "APPROVAL_EXPIRES_IN": "14",
    "APPROVALS_REQUIRED": "0",
    "AWS_ACCESS_KEY_ID": "made-up",
    "AWS_SECRET_ACCESS_KEY": "made-up",
    "AWS_REGION": "eu-central-1",
    "AWS_DEFAULT_REGION": "eu-central-1",
    "BACKUP_BY_DEFAULT": "true",
    "COORDINATION_TABLE_NAME": "coordination",
    "DATABRAIN_API": "current",
    "DATABRAIN_BASE_URL": "https://api.usedatabrain.com",
    "DATAMART_LISTS_URI": "",
    "EMBED_MAP_URI": "",
    "ENVIRONMENT_NAME": "bench",
    "EVIDENCE_BUCKET_NAME": "evidence",
    "MAX_RETIREMENTS_PER_DAY": "25",
    "RETRY_DELAYS": "60,300,900,2700,7200",
    "REQUESTS_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/requests",
    "MODE": "retire",
    "POWERTOOLS_METRICS_NAMESPACE": "DatamartRetirement",
    "POWERTOOLS_SERVICE_NAME": "datamart-retirement",
    "PROTECTED_DATAMARTS": "",
    "RESULTS_TOPIC_ARN": "arn:aws:sns:eu-central-1:123456789012:results",
    "SCHEDULING_QUEUE_URL": "https://sqs.eu-central-1.amazonaws.com/123456789012/scheduling",
    "RETIRABLE_DATAMARTS": "*",
    "SERVICE_TOKEN_SECRET_ARN": "arn:aws:secretsmanager:eu-central-1:123456789012:secret:databrain",
    "REQUIRE_RESTORABLE": "false",
    "REHEARSE_BY_DEFAULT": "false",
    "UNDETERMINED_EMBEDS": "block",
}
TIMED_IMPORT = """
import importlib, sys, time
began = time.process_time()
importlib.import_module(sys.argv[1])
print(time.process_time() - began)
"""

RETIREMENTS = f"""\
One retirement in organisations of different size, with {DATA_APPS} data apps each; the datamart is the last one.
A legacy server always lists every datamart with all its tables.

  datamarts  API      requests to Databrain  peak of memory above the interpreter's"""

COLD_SET_UP = """\
The processor time that a cold start takes to import and set up the retire function, as built, beside that
of a plain function of the same task: tests/bench/plain_function.py, with pydantic and Powertools Idempotency.
"""


def main() -> None:
    """Print all tables; the exit status is 1 where a retirement takes more than it may."""
    is_within = print_retirements()
    print_cold_set_up()
    subprocess.run([sys.executable, "-m", "tests.bench.cold"], cwd=CHECKOUT, check=True)  # ours
    is_quick = print_command_line()
    sys.exit(0 if is_within and is_quick else 1)


def print_retirements() -> bool:
    """What does one retirement take, and does it grow with the organisation?"""
    print(RETIREMENTS)
    is_within = True
    for datamarts, api in each("Measuring one retirement", ORGANISATIONS, "organisations"):
        taken = retire_in(datamarts, api)
        requests, mib = taken["requests"], taken["peak"] / MIB
        print(f"  {datamarts:9,}  {api:7}  {requests:21}  {mib:34.1f} MiB", flush=True)
        is_within = is_within and requests <= MAX_REQUESTS and mib <= MAX_MIB
    print(f"  {'at most':18}  {MAX_REQUESTS:21}  {MAX_MIB:34} MiB")
    print("\nWithin the limits.\n" if is_within else "\nOVER A LIMIT.\n")
    return is_within


def retire_in(datamarts: int, api: str) -> dict[str, int]:
    """Retire the last datamart of an organisation."""
    with served(datamarts) as url:
        name = datamart_name(datamarts - 1)
        taken: dict[str, int] = json.loads(
            output_of([sys.executable, "-m", "tests.bench.one_retirement", url, api, name], os.environ)
        )
    return taken


@contextlib.contextmanager
def served(datamarts: int) -> Iterator[str]:
    """Serve an organisation of this size, from a process of its own, and yield the URL."""
    command = [sys.executable, "-m", "tests.bench.organisation", str(datamarts), str(DATA_APPS)]
    with subprocess.Popen(  # noqa: S603  # our own command line
        command, cwd=CHECKOUT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as server:
        assert server.stdout is not None
        yield server.stdout.readline().strip()  # leaving closes its standard input


def folders() -> dict[str, list[Path]]:
    """Where each of both finds its modules."""
    return {
        "app": [
            BUILD / "RetireFunction",
            BUILD / "RetirementLayer" / "python",
            BUILD / "DependenciesLayer" / "python",
        ],
        "plain_function": [Path(__file__).parent, *PLAIN_PYTHON.parents[1].glob("lib/python*/site-packages")],
    }


def print_cold_set_up() -> None:
    """How long does a cold start take, beside a plain function of the same task?"""
    with tempfile.TemporaryDirectory() as byte_code:
        _, *pairs = (  # the first pair compiles
            [set_up(module, found_in, byte_code) for module, found_in in folders().items()]
            for _ in each("Measuring the cold set-up", range(1 + RUNS), "pairs of runs")
        )
    version = output_of([PLAIN_PYTHON, "--version"], os.environ)
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    print(COLD_SET_UP)
    print(f"  {ratio:.2f} of the plain function's time; the marks are {MARKS[0]}, then {MARKS[1]}")
    print(f"  (median of {RUNS} pairs of runs, byte code on both sides, {version.strip()})")


def print_command_line() -> bool:
    """How long does the command line take to show its help?"""
    _, *taken = (started() for _ in each("Measuring the command line", range(1 + RUNS), "runs"))
    milliseconds = 1000 * statistics.median(taken)
    print(f"The command line: {milliseconds:.0f} ms of processor time to `datamart --help`, at most {MAX_HELP} ms")
    return milliseconds <= MAX_HELP


def started() -> float:
    """The processor seconds of one `datamart --help`."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    paths = os.pathsep.join([str(CHECKOUT), str(CHECKOUT / "layers" / "retirement" / "python")])
    output_of([sys.executable, "-m", "cli", "--help"], {**os.environ, "PYTHONPATH": paths})
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def set_up(module: str, folders: list[Path], byte_code: str) -> float:
    """The processor seconds that a fresh interpreter takes to import a module, with packages in these folders alone."""
    environment: Mapping[str, str] = {
        **FUNCTION_ENVIRONMENT,
        "PATH": os.environ["PATH"],
        "PYTHONPATH": os.pathsep.join(map(str, folders)),
        # Both sides alike, and whatever Python version the build was compiled for.
        "PYTHONPYCACHEPREFIX": byte_code,
    }
    return float(output_of([PLAIN_PYTHON, "-S", "-c", TIMED_IMPORT, module], environment))


def output_of(command: Sequence[str | Path], environment: Mapping[str, str]) -> str:
    """What a command prints; where it fails, its errors are shown."""
    return subprocess.run(  # noqa: S603  # our own command line
        command, cwd=CHECKOUT, env=environment, stdout=subprocess.PIPE, text=True, check=True
    ).stdout


if __name__ == "__main__":
    main()
