"""`make redrive`: redrive the abandoned requests of the stack that `make local` runs."""

import sys

from local.stack import EmbeddedStack, StackError


def main() -> int:
    """Move all messages of `Failures` to `Scheduling`, whose function forwards requests that are due."""
    try:
        moved = EmbeddedStack.running().redrive()
    except StackError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{moved} {'request was' if moved == 1 else 'requests were'} redriven.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
