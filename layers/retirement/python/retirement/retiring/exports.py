"""Reads for a backup the embeds that Databrain deletes with a datamart: those that use it, or may use it."""

from collections.abc import Mapping, Sequence
from typing import TypeAlias

from retirement.canonical import Document
from retirement.databrain.dependents import Dependents, Embed, Verdict
from retirement.databrain.ports import Databrain, Unread
from retirement.record.backup import MAX_EXPORTS, BackedUpEmbed

# Seconds that one answer may take (ANSWER_LIMIT in databrain/transport.py): a request that leaves them ends in time.
SLOWEST_ANSWER = 15.0

_Export: TypeAlias = Document | Unread
_Workspaces: TypeAlias = Mapping[str, Sequence[str]] | Unread

_NO_ROOM = Unread(f"a backup contains at most {MAX_EXPORTS} exports")
_NOT_ASKED = Unread("no workspace was requested")


def embeds_for_backup(dependents: Dependents, databrain: Databrain, *, leave: float) -> list[BackedUpEmbed]:
    """Export the embeds, those that use the datamart first, and find the workspace of each one's dashboard.

    If an embed that only may use the datamart cannot be read, its `why_not` says so: neither a failure nor missing time
    prevents the deletion then. Without embeds no request is made.

    Args:
        dependents: at most `MAX_EXPORTS` of them use the datamart.
        databrain: has listed these embeds.
        leave: the seconds of the invocation that the next steps need.

    Raises:
        DatabrainError: an embed that uses the datamart could not be read, and another attempt may read it.
    """
    using, perhaps = dependents.with_verdict(Verdict.USES), dependents.with_verdict(Verdict.UNDETERMINED)
    room, leave_then = MAX_EXPORTS - len(using), leave + SLOWEST_ANSWER
    exports = _exported(using, databrain, leave)
    for export in exports:
        _require(export)
    workspaces = _workspaces(using, exports, databrain, leave)
    _require(workspaces)
    others = _exported(perhaps[:room], databrain, leave_then)
    if workspaces is _NOT_ASKED:
        workspaces = _workspaces(perhaps[:room], others, databrain, leave_then)
    others += [_NO_ROOM] * len(perhaps[room:])
    return [
        *(_backed_up(embed, Verdict.USES, export, workspaces) for embed, export in zip(using, exports, strict=True)),
        *(
            _backed_up(embed, Verdict.UNDETERMINED, export, workspaces)
            for embed, export in zip(perhaps, others, strict=True)
        ),
    ]


def _exported(embeds: Sequence[Embed], databrain: Databrain, leave: float) -> list[_Export]:
    return list(databrain.export_embeds(embeds, leave=leave)) if embeds else []


def _workspaces(embeds: Sequence[Embed], exports: Sequence[_Export], databrain: Databrain, leave: float) -> _Workspaces:
    """Return the workspaces, if one of these embeds is known to show a dashboard."""
    if not any(_dashboard_of(embed, export) for embed, export in zip(embeds, exports, strict=True)):
        return _NOT_ASKED
    return databrain.find_workspaces(leave=leave)


def _require(read: _Export | _Workspaces) -> None:
    if isinstance(read, Unread) and read.failure is not None:
        raise read.failure


def _backed_up(embed: Embed, verdict: Verdict, export: _Export, workspaces: _Workspaces) -> BackedUpEmbed:
    workspace = _workspace_of(embed, export, workspaces)
    reasons = [read.why for read in (export, workspace) if isinstance(read, Unread)]
    return BackedUpEmbed(
        embed=embed,
        verdict=verdict,
        export=None if isinstance(export, Unread) else export,
        workspace_name=None if isinstance(workspace, Unread) else workspace,
        why_not="; ".join(reasons) or None,
    )


def _workspace_of(embed: Embed, export: _Export, workspaces: _Workspaces) -> str | Unread:
    """Return the one workspace that has the embed's dashboard."""
    dashboard = _dashboard_of(embed, export)
    if dashboard is None:
        return Unread("its workspace is unknown, because no dashboard is named")
    if isinstance(workspaces, Unread):
        return workspaces
    holders = workspaces.get(dashboard, ())
    if len(holders) != 1:
        return Unread(f"{len(holders) or 'no'} workspaces have its dashboard")
    return holders[0]


def _dashboard_of(embed: Embed, export: _Export) -> str | None:
    """Return the ID of the dashboard that the embed shows, as listed or exported, or None for a metric."""
    item = embed.item or {}
    places = (
        (item.get("embedMetadata"), "dashboardId"),
        (item.get("externalDashboard"), "externalDashboardId"),
        (None if isinstance(export, Unread) else export.get("_meta"), "dashboardId"),
    )
    for where, field in places:
        if isinstance(where, Mapping) and isinstance(found := where.get(field), str) and found:
            return found
    return None
