"""What a command is given: where it works, and how it shows what it has to say."""

import os
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Annotated

from cyclopts import Parameter

from cli.contexts import Context, resolve
from cli.output import Output

if TYPE_CHECKING:
    from cli.stack import Stack


@dataclass(frozen=True)  # without slots, because cached_property needs a dictionary
class Session:
    """One run of the program: the options that are the same for every command."""

    output: Output
    stack_option: str | None
    profile: str | None
    region: str | None

    @cached_property
    def context(self) -> Context:
        """The stack that was chosen.

        Raises:
            UsageError: none was.
        """
        return resolve(self.stack_option, self.profile, self.region, os.environ)

    @cached_property
    def stack(self) -> "Stack":
        """The stack, as AWS knows it."""
        from cli.stack import Stack  # noqa: PLC0415  # the AWS SDK takes longer to import than `--help` may take

        return Stack(self.context)


Given = Annotated[Session, Parameter(parse=False)]
