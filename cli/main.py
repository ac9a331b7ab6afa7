"""The program: its commands, the options that all of them have, and how each run ends."""

import os
import sys
from collections.abc import Sequence
from contextvars import ContextVar
from itertools import count
from typing import Annotated

from cyclopts import App, CycloptsError, Group, Parameter

from cli.errors import CommandError, Status, UsageError
from cli.output import Output, discard, note, prepare_streams, shown
from cli.session import Given, Session
from retirement.errors import RetirementError

END_OF_OPTIONS = "--"

# What stands before `--`, and what follows it: names that may look like options.
_given: ContextVar[tuple[str, ...]] = ContextVar("given", default=())
_literal: ContextVar[tuple[str, ...]] = ContextVar("literal", default=())

_WHERE = Group("Where and how", sort_key=9)
_OF_EVERY_COMMAND = frozenset({"--stack", "--profile", "--region"})  # those with a value
_ON_TERMINAL = sys.stdout is not None and sys.stdout.isatty()


def _app(name: str, text: str) -> App:
    return App(
        name=name,
        help=text,
        help_format="plaintext",
        help_formatter="default" if _ON_TERMINAL else "plain",
        help_flags=["--help", "-h"],
        version_flags=["--version"] if name == "datamart" else [],
        print_error=False,
        exit_on_error=False,
        help_on_error=False,
        suppress_keyboard_interrupt=False,
        result_action="return_value",
    )


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # noqa: PLC0415  # for one option

    try:
        return version("datamart-retirement")
    except PackageNotFoundError:
        return "a checkout"


app = _app("datamart", "Retire Databrain datamarts, look up what became of them, and restore them.")
app.version = _version

# A command is imported only when it runs: `--help` may take 300 ms.
_COMMANDS: dict[str, tuple[tuple[str, str, str], ...]] = {
    "Retire and restore": (
        ("plan", "cli.retiring:plan", "Show what a retirement would delete; changes nothing."),
        ("retire", "cli.retiring:retire", "Delete datamarts, now or at a date."),
        ("move", "cli.retiring:move", "Move the date of a retirement."),
        ("cancel", "cli.retiring:cancel", "Cancel a retirement."),
        ("approve", "cli.approving:approve", "Approve a deletion that another person has requested."),
        ("restore", "cli.retiring:restore", "Create a deleted datamart again from its backup."),
    ),
    "Look up": (
        ("status", "cli.looking:status", "Show one retirement, or how the stack is."),
        ("list", "cli.looking:list_", "List retirements."),
        ("show", "cli.looking:show", "Show the history of one datamart."),
    ),
    "Operate": (
        ("stop", "cli.stopping:stop", "Stop all deletions."),
        ("resume", "cli.stopping:resume", "Go on with deletions."),
        ("keep", "cli.sweeps:keep", "Keep a datamart that a sweep wants to retire."),
        ("report", "cli.report:report", "Write a page about everything that was retired."),
        ("doctor", "cli.doctor:doctor", "Check what the stack needs."),
    ),
    "This program": (
        ("use", "cli.using:use", "Choose the stack that commands work on."),
        ("completion", "cli.using:completion", "Write the completion script of a shell."),
    ),
}
_SUBCOMMANDS: dict[tuple[str, str], tuple[tuple[str, str, str], ...]] = {
    ("failures", "List abandoned requests, send them again, or drop them."): (
        ("list", "cli.failures:list_", "List the abandoned requests."),
        ("retry", "cli.failures:retry", "Send abandoned requests again."),
        ("drop", "cli.failures:drop", "Delete abandoned requests."),
    ),
    ("sweep", "Check the policy of the recurring cleanup, or run a sweep."): (
        ("check", "cli.sweeps:check", "Check a policy."),
        ("run", "cli.sweeps:run", "Run a sweep now."),
    ),
    ("embeds", "List embeds with their datamarts, or fill in the map of them."): (
        ("list", "cli.embeds:list_", "List every embed."),
        ("review", "cli.embeds:review", "Write the map of embeds, or bring it up to date."),
    ),
    ("webhook", "Send a signed webhook, or change the secret."): (
        ("send", "cli.webhook:send", "Send a signed webhook."),
        ("rotate", "cli.webhook:rotate", "Add a secret, or remove the oldest."),
    ),
}


def _failures(*, session: Given) -> int:
    """List abandoned requests, send them again, or drop them."""
    from cli.failures import list_  # noqa: PLC0415  # as every command

    return list_(session=session)


def _register() -> None:
    groups = {title: Group(title, sort_key=number) for number, title in enumerate(_COMMANDS)}
    place = count()
    for title, commands in _COMMANDS.items():
        for name, path, text in commands:
            app.command(path, name=name, help=text, group=groups[title], sort_key=next(place))
    for (parent, about), commands in _SUBCOMMANDS.items():
        sub = _app(parent, about)
        sub.group, sub.sort_key = (groups["Operate"],), next(place)
        for name, path, text in commands:
            sub.command(path, name=name, help=text, sort_key=next(place))
        if parent == "failures":
            sub.default(_failures)
        app.command(sub)


_register()


def run(arguments: Sequence[str]) -> int:
    """Run one command line, and return its exit status. Whatever happens, it is reported in one line."""
    prepare_streams()
    try:
        status = _launched(arguments)
        sys.stdout.flush()
    except BrokenPipeError:  # for example `| head`
        discard(sys.stdout)
        return Status.OK
    except KeyboardInterrupt:
        note("\ninterrupted")
        return Status.INTERRUPTED
    except CycloptsError as error:
        command = " ".join(("datamart", *(error.command_chain or ())))
        return _failed(f"{error} See {command} --help", Status.USAGE)
    except CommandError as error:
        return _failed(str(error), error.status)
    except (RetirementError, OSError) as error:
        return _failed(str(error), Status.ERROR)
    except Exception as error:  # noqa: BLE001  # a traceback helps nobody who runs a command
        return _failed(f"unexpected {type(error).__name__} at {_origin(error)}: {error}", Status.ERROR)
    return status


def main() -> None:
    """Run the program's own command line, and end the process."""
    sys.exit(run(sys.argv[1:]))


def _launched(arguments: Sequence[str]) -> int:
    end = arguments.index(END_OF_OPTIONS) if END_OF_OPTIONS in arguments else len(arguments)
    _given.set(tuple(arguments[:end]))
    _literal.set(tuple(arguments[end:]))
    return int(app.meta(list(arguments[:end])) or Status.OK)


@app.meta.default
def _launch(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    stack: Annotated[str | None, Parameter(group=_WHERE, negative=())] = None,
    profile: Annotated[str | None, Parameter(group=_WHERE, negative=())] = None,
    region: Annotated[str | None, Parameter(group=_WHERE, negative=())] = None,
    json: Annotated[bool, Parameter(group=_WHERE, negative=(), show_default=False)] = False,
) -> int:
    """Take the options that every command has, wherever they stand, and run the command with the rest.

    Args:
        tokens: the command and what belongs to it.
        stack: The stack, or a context of datamart use [DATAMART_STACK].
        profile: The profile of the AWS configuration [AWS_PROFILE].
        region: The AWS region [AWS_REGION].
        json: Write one JSON document a line.
    """
    _check_values(tokens, _given.get())
    command, bound, ignored = app.parse_args([*tokens, *_literal.get()], print_error=False, exit_on_error=False)
    if "session" in ignored:
        bound.arguments["session"] = Session(Output(as_json=json), stack, profile, region)
    return int(command(*bound.args, **bound.kwargs) or Status.OK)


def _check_values(tokens: Sequence[str], given: Sequence[str]) -> None:
    """Refuse an empty value, and a word that follows a value: it may be a part of that value that was not quoted.

    An empty value is a variable that a script has not set: it must not mean what is meant without the option.

    Raises:
        UsageError: there is such a value or word.
    """
    _, apps, words = app.parse_commands(list(tokens))
    if apps[-1].default_command is None:
        return
    arguments = apps[-1].assemble_argument_collection()
    valued = {name for each in arguments for name in each.names if name.startswith("--") and each.hint is not bool}
    commands, option, rest = len(tokens) - len(words), None, iter(given)
    for word in rest:
        name, separator, value = word.partition("=")
        if name in valued or name in _OF_EVERY_COMMAND:
            option = name if commands == 0 else None
            if (value if separator else next(rest, None)) == "":
                raise UsageError(f"{name} is empty")
        elif word.startswith("-"):
            continue
        elif commands:
            commands -= 1
        elif option:
            raise UsageError(
                f"{shown(word)} follows {option}, which takes one value: put names before the options, quote a value "
                "with spaces, and repeat an option for several values"
            )


def _failed(text: str, status: Status) -> Status:
    note(f"datamart: {' '.join(shown(line) for line in text.split(os.linesep)).strip()}")
    return status


def _origin(error: BaseException) -> str:
    """Return where an error was raised, for a report of a defect."""
    trace = error.__traceback__
    while trace is not None and trace.tb_next is not None:
        trace = trace.tb_next
    return "an unknown place" if trace is None else f"{trace.tb_frame.f_code.co_filename}:{trace.tb_lineno}"
