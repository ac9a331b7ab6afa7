"""Prints what a whole cold retirement takes beside the plain function. Its own process, since it needs much memory."""

# ruff: noqa: T201  # printing is what it is for

import json
import os
import statistics
import tempfile
from collections.abc import Mapping
from pathlib import Path

import certifi

from local.databrain.estate import SERVICE_TOKEN, datamart_name
from local.stack import EmbeddedStack
from tests.bench.__main__ import CHECKOUT, PLAIN_PYTHON, folders, output_of, served
from tests.bench.progress import progress
from tests.fakes import requested

RUNS = 7
MARK = 0.85
COLD_RETIREMENT = """\
The processor time of one cold retirement, from the first import to the result, beside that of the plain function, which
sends the same requests: each in a process of its own, over TLS to the emulator, with the public authorities trusted.
"""


def main() -> None:
    """How long does a whole cold retirement take, beside the plain function?"""
    pairs: list[list[float]] = []
    with (
        progress("Measuring one cold retirement", lambda: f"{len(pairs)} of {1 + RUNS} pairs of runs"),
        tempfile.TemporaryDirectory() as folder,
        served(2 * (1 + RUNS)) as url,
        EmbeddedStack.start(
            databrain_url=url,
            service_token=SERVICE_TOKEN,
            parameters={"Mode": "retire", "UndeterminedEmbeds": "report", "MaxRetirementsPerDay": "1000"},
        ) as stack,
    ):
        authorities = Path(folder, "authorities.pem")
        authorities.write_text(Path(certifi.where()).read_text() + Path(stack.authority).read_text())
        variables = stack.lambda_.get_function_configuration(FunctionName=stack.outputs["RetireFunctionName"])
        environment = {
            **variables["Environment"]["Variables"],
            **stack.environment,
            "AWS_CA_BUNDLE": str(authorities),
            "AWS_REGION": stack.environment["AWS_DEFAULT_REGION"],
            "PYTHONPYCACHEPREFIX": folder,
        }
        names = map(datamart_name, range(2 * (1 + RUNS)))
        for _ in range(1 + RUNS):
            pairs.append(  # noqa: PERF401  # one by one, as the progress counts them
                [retire_cold(module, found_in, environment, next(names)) for module, found_in in folders().items()]
            )
    del pairs[0]  # which compiled
    ratio = statistics.median(ours / plain for ours, plain in pairs)
    ours, plain = (statistics.median(times) for times in zip(*pairs, strict=True))
    print(COLD_RETIREMENT)
    print(f"  {ratio:.2f} of the plain function's time ({ours:.2f} s and {plain:.2f} s); the mark is {MARK}")
    print(f"  (median of {RUNS} pairs of runs, byte code on both sides)")


def retire_cold(module: str, found_in: list[Path], environment: Mapping[str, str], name: str) -> float:
    """The processor seconds of one retirement in a fresh interpreter."""
    event = requested(name, environment="dev", dependents="ignore") | {"id": name}
    path = os.pathsep.join(map(str, [*found_in, CHECKOUT]))
    command: list[str | Path] = [PLAIN_PYTHON, "-S", "-m", "tests.bench.cold_retirement", module, json.dumps(event)]
    return float(output_of(command, {**environment, "PYTHONPATH": path}))


if __name__ == "__main__":
    main()
