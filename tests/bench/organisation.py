"""A Databrain server with a large organisation, in a process of its own until standard input ends.

`python -m tests.bench.organisation DATAMARTS DATA_APPS` prints its URL.
"""

import sys

from local.databrain.estate import estate
from local.databrain.server import serve


def main() -> None:
    """Serve."""
    datamarts, data_apps = map(int, sys.argv[1:])
    with serve(estate(datamarts, data_apps)) as databrain:
        print(databrain.url, flush=True)  # noqa: T201  # the caller waits for it
        sys.stdin.read()


if __name__ == "__main__":
    main()
