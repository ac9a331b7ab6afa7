"""One cold retirement in a process of its own: prints the processor seconds from the first import to the result.

`python -S -m tests.bench.cold_retirement MODULE EVENT`, with the module's packages on PYTHONPATH and the deployed
function's environment.
"""

import time

BEGAN = time.process_time()

import contextlib  # noqa: E402  # all that a handler needs is imported after the clock has begun
import importlib  # noqa: E402
import io  # noqa: E402
import json  # noqa: E402
import sys  # noqa: E402


class Context:
    """What Lambda tells of an invocation."""

    function_name = "bench"
    memory_limit_in_mb = 512
    invoked_function_arn = "arn:aws:lambda:eu-central-1:123456789012:function:bench"
    aws_request_id = "bench"

    @staticmethod
    def get_remaining_time_in_millis() -> int:
        """The time that is left."""
        return 60_000


module_name, event = sys.argv[1], json.loads(sys.argv[2])
log = io.StringIO()
with contextlib.redirect_stdout(log), contextlib.redirect_stderr(log):
    result = importlib.import_module(module_name).handler(event, Context())
if result["outcome"] != "deleted":
    sys.exit(f"expected the outcome deleted, got {result}; the log: {log.getvalue()}")
print(time.process_time() - BEGAN)  # noqa: T201  # what is measured
