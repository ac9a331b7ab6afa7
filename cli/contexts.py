"""Which stack a command works on: options, then the environment, then what `datamart use` stored."""

import json
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any, cast

from cli.errors import UsageError

LOCAL = "local"
DEFAULT_STACK = "datamart-retirement"

HOW_TO_CHOOSE = "name one with --stack or DATAMART_STACK, or store one with datamart use NAME --stack STACK"


@dataclass(frozen=True, slots=True)
class Emulated:
    """The stack of a running `make local`: where it is, and what its certificate is trusted by."""

    endpoint: str
    authority: str
    access_key_id: str
    secret_access_key: str


@dataclass(frozen=True, slots=True)
class Context:
    """A stack, and how to reach it; what is None is up to the AWS SDK."""

    stack: str
    profile: str | None = None
    region: str | None = None
    emulated: Emulated | None = None

    def __str__(self) -> str:
        if self.emulated:
            return f"{self.stack} ({LOCAL})"
        ways = [f"{name} {value}" for name, value in (("profile", self.profile), ("region", self.region)) if value]
        return f"{self.stack} ({', '.join(ways)})" if ways else self.stack


@dataclass(frozen=True, slots=True)
class Stored:
    """What `datamart use` has stored: contexts by name, and the current one."""

    current: str | None = None
    contexts: Mapping[str, Context] = field(default_factory=dict)


def folder(environment: Mapping[str, str]) -> Path:
    """Return the folder in which contexts are stored."""
    base = environment.get("XDG_CONFIG_HOME") or str(Path(environment.get("HOME") or "~").expanduser() / ".config")
    return Path(base) / "datamart"


def stored(environment: Mapping[str, str]) -> Stored:
    """Return what is stored.

    Raises:
        UsageError: the file is not what `datamart use` writes.
    """
    file = folder(environment) / "contexts.json"
    try:
        content = cast("dict[str, Any]", json.loads(file.read_text(encoding="utf-8")))
        contexts = {name: Context(**_texts(each)) for name, each in content["contexts"].items()}
        return Stored(content["current"], contexts)
    except FileNotFoundError:
        return Stored()
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UsageError(f"{file} is not what datamart use writes: correct or delete it ({error})") from error


def store(kept: Stored, environment: Mapping[str, str]) -> None:
    """Replace what is stored."""
    contexts = {
        name: {"stack": each.stack, "profile": each.profile, "region": each.region}
        for name, each in kept.contexts.items()
    }
    _replace(folder(environment) / "contexts.json", {"current": kept.current, "contexts": contexts})


def running_local(environment: Mapping[str, str]) -> Context | None:
    """Return the context of a running `make local`; None if none is registered."""
    try:
        content = json.loads((folder(environment) / "local.json").read_text(encoding="utf-8"))
        return Context(content["stack"], region=content["region"], emulated=Emulated(**content["emulated"]))
    except (OSError, ValueError, LookupError, TypeError):
        return None


def register_local(context: Context, environment: Mapping[str, str]) -> None:
    """Register the stack of `make local`, which is running now."""
    emulated = asdict(cast("Emulated", context.emulated))
    content = {"stack": context.stack, "region": context.region, "emulated": emulated}
    _replace(folder(environment) / "local.json", content)


def forget_local(context: Context, environment: Mapping[str, str]) -> None:
    """Remove the registration of this stack, unless another one has replaced it."""
    if running_local(environment) == context:
        (folder(environment) / "local.json").unlink(missing_ok=True)


def resolve(stack: str | None, profile: str | None, region: str | None, environment: Mapping[str, str]) -> Context:
    """Return the context of a command.

    A stored context that is named brings its profile and region along; the current one yields to the environment.

    Args:
        stack: the option's value: a stack, or the name of a stored context.
        profile: the option's value.
        region: the option's value.
        environment: the process's.

    Raises:
        UsageError: no stack is chosen, or the chosen one is not there.
    """
    kept, named = stored(environment), stack or environment.get("DATAMART_STACK")
    name = named or kept.current or (LOCAL if running_local(environment) else None)
    if name is None:
        raise UsageError(f"no stack is chosen: {HOW_TO_CHOOSE}")
    if name == LOCAL and LOCAL not in kept.contexts:
        return _local(profile, region, environment)
    context = kept.contexts.get(name)
    if context is None and named is None:
        raise UsageError(f"the current context {name} is not stored any more: {HOW_TO_CHOOSE}")
    in_environment = Context(
        name, environment.get("AWS_PROFILE"), environment.get("AWS_REGION") or environment.get("AWS_DEFAULT_REGION")
    )
    first, then = (in_environment, context) if named is None else (context, in_environment)
    known = [each for each in (first, then) if each is not None]
    return Context(
        name if context is None else context.stack,
        profile or next((each.profile for each in known if each.profile), None),
        region or next((each.region for each in known if each.region), None),
    )


def with_current(kept: Stored, name: str, context: Context | None) -> Stored:
    """Return what is stored with another current context, which is new or changed unless it is None."""
    return replace(kept, current=name, contexts={**kept.contexts, **({} if context is None else {name: context})})


def _local(profile: str | None, region: str | None, environment: Mapping[str, str]) -> Context:
    if profile or region:
        raise UsageError(f"the context {LOCAL} takes neither --profile nor --region")
    context = running_local(environment)
    if context is None:
        raise UsageError("no local stack is running: start one with make local, or choose another with datamart use")
    return context


def _texts(content: Mapping[str, object]) -> dict[str, Any]:
    if not all(value is None or isinstance(value, str) for value in content.values()):
        raise TypeError("a field is not a text")
    return dict(content)


def _replace(file: Path, content: object) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    beside = file.with_name(f".{file.name}.{os.getpid()}")
    beside.write_text(f"{json.dumps(content, indent=2)}\n", encoding="utf-8")
    beside.replace(file)
