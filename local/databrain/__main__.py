"""Serves one organisation until it is interrupted: `python -m local.databrain --port 0 --seed FILE`."""

import argparse
import contextlib
from pathlib import Path

from local.databrain.seed import SAMPLE, organisation_of, read_seed
from local.databrain.server import listen, url_of, uvicorn_server
from local.databrain.state import Databrain
from local.databrain.validation import InvalidInputError


def main() -> None:
    """Print one line once connections are taken, then serve."""
    parser = argparse.ArgumentParser(prog="python -m local.databrain", description="A stand-in for Databrain's API.")
    parser.add_argument("--port", type=int, default=0, help="port on 127.0.0.1; 0, the default: a free one")
    parser.add_argument(
        "--seed", type=Path, default=SAMPLE, help="the organisation to start from (default: %(default)s)"
    )
    arguments = parser.parse_args()
    try:
        organisation = organisation_of(read_seed(arguments.seed))
        listener = listen(arguments.port)
    except (InvalidInputError, OSError, OverflowError) as error:
        parser.error(str(error))
    databrain = Databrain(organisation, url_of(listener))
    print(f"listening on {databrain.url}", flush=True)  # noqa: T201 - callers wait for this line
    with contextlib.suppress(KeyboardInterrupt):
        uvicorn_server(databrain).run([listener])


if __name__ == "__main__":
    main()
