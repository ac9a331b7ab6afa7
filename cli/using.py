"""Which stack commands work on, from now on; and the completion of a shell."""

import os
from typing import Literal

from cli.contexts import LOCAL, Context, running_local, store, stored, with_current
from cli.errors import Status, UsageError
from cli.output import shown
from cli.session import Given


def use(name: str | None = None, /, *, session: Given) -> int:
    """Choose the stack that commands work on, or list what can be chosen.

    With --stack, the context is stored under the name, with --profile and --region if they are given. The context
    local is the stack of a running make local.

    Args:
        name: The context [default: list them].
        session: the run.
    """
    kept, output = stored(os.environ), session.output
    if name is None:
        contexts = {**kept.contexts}
        if running := running_local(os.environ):
            contexts.setdefault(LOCAL, running)
        for each, one in contexts.items():
            output.document(
                {
                    "context": each,
                    "current": each == kept.current,
                    "stack": one.stack,
                    "profile": one.profile,
                    "region": one.region,
                }
            )
        output.table(
            ("context", "stack", "profile", "region", ""),
            [
                [each, one.stack, one.profile, one.region, "current" if each == kept.current else ""]
                for each, one in contexts.items()
            ],
        )
        if not contexts:
            output.line("no context is stored: datamart use NAME --stack STACK --profile PROFILE --region REGION")
        return Status.OK
    if not name:
        raise UsageError("a name is empty")
    given = (session.stack_option, session.profile, session.region)
    if name == LOCAL and any(given):
        raise UsageError(f"the context {LOCAL} is that of make local: choose another name")
    earlier = kept.contexts.get(name)
    context: Context | None = None
    if any(given):
        stack = session.stack_option or (earlier.stack if earlier else None)
        if stack is None:
            raise UsageError(f"{shown(name)} is a new context: add --stack")
        context = Context(
            stack,
            session.profile or (earlier.profile if earlier else None),
            session.region or (earlier.region if earlier else None),
        )
    elif earlier is None and name != LOCAL:
        raise UsageError(f"no context {shown(name)} is stored: add --stack to store it")
    store(with_current(kept, name, context), os.environ)
    output.document({"context": name, "current": True})
    output.line(f"Commands work on {shown(name)} from now on{'' if context is None else f': {context}'}.")
    return Status.OK


def completion(shell: Literal["bash", "zsh", "fish"], /) -> int:
    """Write the completion script of a shell to stdout.

    Args:
        shell: The shell.
    """
    from cli.main import app  # noqa: PLC0415  # which imports this module when it runs a command

    print(app.generate_completion(shell=shell))  # noqa: T201  # a script, also with --json
    return Status.OK
