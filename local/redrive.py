"""`make redrive`: send again what was given up on the stack that `make local` runs."""

import sys

from local.stack import EmbeddedStack, StackError


def main() -> int:
    """Move all of `Failures` to `Scheduling`, whose function hands on what is due."""
    try:
        moved = EmbeddedStack.running().redrive()
    except StackError as error:
        sys.exit(str(error))
    sys.stdout.write(f"{moved} {'request was' if moved == 1 else 'requests were'} sent again.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
