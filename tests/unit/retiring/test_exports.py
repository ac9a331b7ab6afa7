"""Which embeds a backup holds, in which order, and why it lacks anything of one."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import pytest

from retirement.canonical import Document
from retirement.databrain import transport
from retirement.databrain.dependents import Dependents, Embed
from retirement.databrain.ports import Unread
from retirement.errors import DatabrainUnavailable
from retirement.record.backup import MAX_EXPORTS
from retirement.retiring.exports import SLOWEST_ANSWER, embeds_for_backup
from tests.fakes import FakeDatabrain, Parsed, embed_of, export_of, listing_of, showing

LATER = DatabrainUnavailable("GET /api/v2/data-app/embeds/export: HTTP 503")
NOT_NOW, NEVER = Unread(str(LATER), LATER), Unread("HTTP 404")
LEAVE = 35.0

USED, UNCLEAR, OTHER = embed_of("used", "sales"), embed_of("unclear", None), embed_of("other", "marketing")


class Observed(FakeDatabrain):
    """Keeps what it was asked for: the embeds, or None for workspaces, and the time to leave."""

    def __init__(self) -> None:
        super().__init__()
        self.asked: list[tuple[list[str] | None, float]] = []

    def export_embeds(self, embeds: Sequence[Embed], *, leave: float) -> Sequence[Document | Unread]:
        """Note it."""
        self.asked.append(([embed.embed_id for embed in embeds], leave))
        return super().export_embeds(embeds, leave=leave)

    def find_workspaces(self, *, leave: float) -> Mapping[str, Sequence[str]] | Unread:
        """Note it."""
        self.asked.append((None, leave))
        return super().find_workspaces(leave=leave)


@pytest.fixture
def databrain() -> Observed:
    """One that exports nothing yet."""
    return Observed()


def kept(databrain: FakeDatabrain, *embeds: Embed, reviewed: Sequence[str] = ()) -> list[Parsed]:
    """The embeds as the backup of `sales` holds them."""
    dependents = Dependents("sales", listing_of(*embeds), frozenset(reviewed))
    return [{**embed.document()} for embed in embeds_for_backup(dependents, databrain, leave=LEAVE)]


def test_whole(databrain: Observed) -> None:
    """Of an embed everything is kept that was listed and exported, and the workspace of its dashboard."""
    used = showing(USED, "board-1")
    databrain.exports["used"] = export_of("used", "board-1", isAllowManageMetrics=True)
    databrain.workspaces = {"board-1": ["Sales"], "board-2": ["Sales", "HR"]}

    assert kept(databrain, used) == [
        {
            "embedId": "used",
            "name": "Embed used",
            "dataAppName": "Portal",
            "verdict": "uses",
            "item": used.item,
            "export": databrain.exports["used"],
            "workspaceName": "Sales",
            "whyNot": None,
        }
    ]


def test_nothing_goes_with_it(databrain: Observed) -> None:
    """Where no embed uses the datamart or may use it, nothing is asked for."""
    assert kept(databrain, OTHER) == []
    assert databrain.asked == []


def test_those_that_use_it_go_first(databrain: Observed) -> None:
    """What uses the datamart is exported before anything else, and the rest only in time that is left over."""
    databrain.exports = {embed_id: export_of(embed_id, "board") for embed_id in ("used", "unclear", "a")}
    databrain.workspaces = {"board": ["Sales"]}

    backed_up = kept(databrain, UNCLEAR, OTHER, USED, embed_of("a", None), reviewed=["used", "a"])

    assert [(embed["embedId"], embed["verdict"]) for embed in backed_up] == [
        ("used", "uses"),
        ("unclear", "undetermined"),
        ("a", "undetermined"),
    ]
    assert databrain.asked == [
        (["used"], LEAVE),
        (None, LEAVE),
        (["unclear", "a"], LEAVE + SLOWEST_ANSWER),
    ]
    assert {embed["workspaceName"] for embed in backed_up} == {"Sales"}


def test_the_slowest_answer() -> None:
    """What is begun while there is time ends in time."""
    assert SLOWEST_ANSWER == transport.ANSWER_LIMIT


def test_workspaces_of_what_may_use_it(databrain: Observed) -> None:
    """Workspaces are looked for where an embed shows a dashboard, and not for those that show none that is known."""
    databrain.exports["used"] = export_of("used")
    kept(databrain, USED, UNCLEAR)
    assert [embeds for embeds, _ in databrain.asked] == [["used"], ["unclear"]]

    databrain.asked.clear()
    databrain.exports["unclear"] = export_of("unclear", "board")
    kept(databrain, USED, UNCLEAR)
    assert databrain.asked[2:] == [(None, LEAVE + SLOWEST_ANSWER)]


@pytest.mark.parametrize("embed", [USED, UNCLEAR], ids=["uses it", "may use it"])
@pytest.mark.parametrize("what", ["export", "workspaces"])
def test_what_a_later_attempt_may_read(databrain: Observed, embed: Embed, what: str) -> None:
    """What fails for now ends the attempt where an embed uses the datamart, and is a remark where it only may."""
    databrain.exports[embed.embed_id] = NOT_NOW if what == "export" else export_of(embed.embed_id, "board")
    databrain.workspaces = NOT_NOW

    if embed is USED:
        with pytest.raises(DatabrainUnavailable) as raised:
            kept(databrain, embed, UNCLEAR)
        assert raised.value is LATER
        assert ["unclear"] not in [embeds for embeds, _ in databrain.asked]
    else:
        (backed_up,) = kept(databrain, embed)
        assert str(LATER) in backed_up["whyNot"]


@dataclass(frozen=True)
class Gap:
    """An embed of which something is missing, and why."""

    embed: Embed
    export: Document | Unread
    workspaces: Mapping[str, Sequence[str]] | Unread
    why_not: str
    workspace: str | None = None


NO_DASHBOARD = "its workspace is unknown, because no dashboard is named"
METRIC = replace(USED, item={"embedId": "used", "embedMetadata": {"metricId": "m", "dashboardId": None}})
GAPS = {
    "an old server": Gap(showing(USED, "board"), NEVER, NEVER, "HTTP 404; HTTP 404"),
    "no export": Gap(showing(USED, "board"), NEVER, {"board": ["Sales"]}, "HTTP 404", workspace="Sales"),
    "no workspaces": Gap(showing(USED, "board"), export_of("used"), NEVER, "HTTP 404"),
    "no workspace": Gap(showing(USED, "board"), export_of("used"), {}, "no workspaces have its dashboard"),
    "two workspaces": Gap(
        showing(USED, "board"), export_of("used"), {"board": ["Sales", "HR"]}, "2 workspaces have its dashboard"
    ),
    "a metric": Gap(METRIC, export_of("used"), {"m": ["Sales"]}, NO_DASHBOARD),
    "not listed": Gap(replace(USED, item=None), NEVER, {}, f"HTTP 404; {NO_DASHBOARD}"),
    "other shapes": Gap(
        replace(USED, item={"embedMetadata": "x", "externalDashboard": {"externalDashboardId": 5}}),
        {"_meta": []},
        {},
        NO_DASHBOARD,
    ),
}


@pytest.mark.parametrize("gap", GAPS)
def test_gap(databrain: Observed, gap: str) -> None:
    """What Databrain does not give out is missing, with the reason, and stops nothing."""
    case = GAPS[gap]
    databrain.exports["used"], databrain.workspaces = case.export, case.workspaces

    (backed_up,) = kept(databrain, case.embed)

    assert backed_up["whyNot"] == case.why_not
    assert backed_up["export"] == (None if isinstance(case.export, Unread) else case.export)
    assert backed_up["workspaceName"] == case.workspace


@pytest.mark.parametrize("using", [0, 1, MAX_EXPORTS])
def test_very_many(databrain: Observed, using: int) -> None:
    """No more embeds are exported than a backup holds; the others are in it all the same, with the reason."""
    embeds = [embed_of(f"used-{number}", "sales") for number in range(using)]
    unclear = [embed_of(f"unclear-{number:03}", None) for number in range(MAX_EXPORTS + 7)]
    databrain.exports = {embed.embed_id: export_of(embed.embed_id) for embed in (*embeds, *unclear)}

    backed_up = kept(databrain, *embeds, *unclear)

    assert len(backed_up) == using + MAX_EXPORTS + 7
    assert sum(embed["export"] is not None for embed in backed_up) == MAX_EXPORTS
    assert sum(len(embeds or ()) for embeds, _ in databrain.asked) == MAX_EXPORTS
    assert backed_up[-1]["whyNot"].startswith("a backup contains at most 200 exports; ")
