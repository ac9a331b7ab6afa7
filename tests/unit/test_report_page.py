"""The page that the report writes."""

import base64
import hashlib
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings

from cli.reporting import page
from cli.reporting.estate import read_estate
from cli.reporting.page import Limits, render
from cli.reporting.spelling import visible_name
from cli.reporting.words import REASONS, RESTORE_STATES, STATES
from retirement.outcomes import Outcome, Reason
from retirement.record.keys import backup_key, restore_key, retirement_key
from tests.contract.hostile_names import HOSTILE_NAMES
from tests.estates import BACKUP_SHA256, BUCKET_NAME, NOW, KeptEvidence, restoration
from tests.unit.test_report_spelling import ANY_TEXT

VOID = {"meta"}
ATTACKS = (
    "<script>document.title='attacked'</script>",
    "</title></style></pre></details><script src=//evil.example></script>",
    "\"><img src=x onerror='attack()'>",
    "javascript:attack()",
    "{{ 7 * 7 }}{% raw %}{# #}",
    "<!--",
    "]]>",
    "&lt;b&gt;&amp;",
    "\u202e\u2066\u200f\ufeff",
    "a" * 2_000,
)
LITTLE = Limits(entries=3, reasons=3)


@dataclass
class Parsed(HTMLParser):
    """A page, taken apart as a browser does: its elements, and the text under each of them."""

    elements: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    texts: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__init__()
        self._open: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self._open.append(tag)
            self.texts.setdefault(tag, []).append("")

    def handle_endtag(self, tag: str) -> None:
        """Each element ends where it should."""
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        """Note text."""
        for tag in set(self._open):
            self.texts[tag][-1] += data

    def handle_comment(self, data: str) -> None:
        """There are no comments."""
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        """The only declaration is that of HTML."""
        assert decl == "DOCTYPE html"

    def values(self, attribute: str) -> list[str]:
        """All values of an attribute."""
        return [attributes[attribute] for _, attributes in self.elements if attribute in attributes]

    @property
    def shape(self) -> set[tuple[str, frozenset[str]]]:
        """Which elements there are, with which attributes."""
        return {(tag, frozenset(attributes)) for tag, attributes in self.elements}


def parsed(html: str) -> Parsed:
    """Take a page apart."""
    found = Parsed()
    found.feed(html)
    found.close()
    return found


def page_of(evidence: KeptEvidence, limits: Limits | None = None) -> str:
    """The page of a bucket."""
    return render(read_estate(evidence, NOW), evidence, limits)


@pytest.fixture(scope="module", autouse=True)
def _templates_compiled_once() -> Iterator[None]:
    """And not for each page: that was nine tenths of the time."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(page, "_environment", cache(page._environment))  # noqa: SLF001  # no test changes it
        yield


@pytest.fixture
def evidence() -> KeptEvidence:
    """An empty bucket."""
    return KeptEvidence()


def everything(name: str, text: str) -> KeptEvidence:
    """A bucket in which everything that there can be has this name, or says this text."""
    evidence = KeptEvidence()
    said = {"message": text or "-", "requestedBy": text, "requestReason": text, "environment": text}
    evidence.deletion(name, **said)
    evidence.tell(name, outcome="blocked", reason=text, retirementId="blocked", confirmedBy=text, **said)
    evidence.tell(name, outcome=text, reason="dry_run", retirementId="odd", **said)
    evidence.tell(name, "failure-1.json", outcome="failed", retirementId="failed", **said)
    evidence.tell(name, "failure-1.json", outcome="failed", retirementId="overcome", **said)
    evidence.tell(name, outcome="planned", reason=text, retirementId="overcome", **said)
    evidence.tell(
        name, "schedule-1.json", outcome="scheduled", retirementId="due", **said, retireAt="2026-12-01T00:00:00Z"
    )
    evidence.tell(name, "cancelled.json", outcome="cancelled", retirementId="off", **said)
    evidence.put(retirement_key(name, "open", "intent.json"), {"datamart": {"name": name}})
    evidence.put(retirement_key(name, "bad", "receipt.json"), text.encode(errors="replace"))
    evidence.put(f"unknown/{text.encode(errors='replace').decode()}", b"{}")
    evidence.reject(text[:50] or "-", datamartName=name, **said)
    evidence.reject("restore", **said | restoration(text))
    embed = {"embedId": text, "newEmbedId": f"{text}2", "name": text, "dataAppName": text, "state": text, "why": text}
    undone: dict[str, Any] = {
        "restoredAs": f"{text}2",
        "differences": [text],
        "notRestored": [text],
        "restoredEmbeds": [embed],
    }
    evidence.restore(name, **said | undone)
    evidence.restore(name, "failure-1.json", outcome="failed", restoreId="failed", **said)
    intent = {"request": {"datamartName": name, "requestedBy": text}, "restoredAs": name}
    evidence.put(restore_key(name, "offboard-acme", "open", "intent.json"), intent)
    return evidence


HARMLESS = parsed(page_of(everything("sales", "text"))).shape


@pytest.mark.parametrize("text", [*ATTACKS, *HOSTILE_NAMES])
def test_evidence_is_text(text: str) -> None:
    """Whatever the evidence says, the page has no other elements and attributes than with harmless evidence."""
    html = page_of(everything(text[:256], text))
    assert parsed(html).shape <= HARMLESS
    assert "[U+202E]" in html if "\u202e" in text else "[U+202E]" not in html


@settings(max_examples=25)
@given(ANY_TEXT.filter(bool), ANY_TEXT)
def test_any_evidence_is_text(name: str, text: str) -> None:
    """The same holds for any text that JSON can hold."""
    html = page_of(everything(name, text))
    assert html.encode()
    assert parsed(html).shape <= HARMLESS


@pytest.mark.parametrize("name", [*ATTACKS[:-1], *HOSTILE_NAMES])
def test_names_are_whole(evidence: KeptEvidence, name: str) -> None:
    """A name is shown whole, as it is, but for what is invisible in it."""
    evidence.deletion(name)
    assert visible_name(name) in parsed(page_of(evidence)).texts["bdi"]


def test_harmless_page_has_no_way_out() -> None:
    """No element loads or sends anything, none runs a script, and every link leads to a place on the page."""
    html = page_of(everything("sales", "text"))
    found = parsed(html)
    assert {tag for tag, _ in found.elements} & {"script", "link", "img", "iframe", "object", "form", "base"} == set()
    names = {name for _, attributes in found.elements for name in attributes}
    assert names & {"src", "style", "srcset", "action", "xlink:href"} == set()
    assert [name for name in names if name.startswith("on")] == []
    assert {href[0] for href in found.values("href")} == {"#"}
    assert {href[1:] for href in found.values("href")} <= set(found.values("id"))
    assert "url(" not in html
    assert "@import" not in html


def test_content_security_policy(evidence: KeptEvidence) -> None:
    """The page forbids itself everything but its own style."""
    found = parsed(page_of(evidence))
    (policy,) = [attributes["content"] for _, attributes in found.elements if "http-equiv" in attributes]
    (style,) = found.texts["style"]
    digest = base64.b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy == f"default-src 'none'; style-src 'sha256-{digest}'; base-uri 'none'; form-action 'none'"


# ---- What it says --------------------------------------------------------------------------------------------------


def test_an_empty_bucket(evidence: KeptEvidence) -> None:
    """The page of an empty bucket says so, and has no empty sections."""
    found = parsed(page_of(evidence))
    assert "The bucket is empty." in found.texts["p"]
    assert "h2" not in found.texts
    assert "svg" not in found.texts


def test_summary(evidence: KeptEvidence) -> None:
    """The page begins with what a manager asks first."""
    evidence.deletion("sales")
    evidence.deletion("marketing", backup=None)
    evidence.tell("finance", outcome="blocked", reason="protected")
    evidence.tell("ops", "failure-1.json", outcome="failed")
    assert (
        "2 datamarts were deleted, 1 without a backup, as requested. 1 request was blocked. "
        "1 retirement failed and can be redriven."
    ) in parsed(page_of(evidence)).texts["p"]


def test_summary_of_one(evidence: KeptEvidence) -> None:
    """One deletion is not spoken of as several."""
    evidence.deletion("sales")
    assert "1 datamart was deleted, with a verified backup." in parsed(page_of(evidence)).texts["p"]


def test_documents_are_a_click_away(evidence: KeptEvidence) -> None:
    """A deletion has receipt, intent, plan and backup on the page, folded in, each with its address."""
    evidence.deletion("sales 2026")
    found = parsed(page_of(evidence))
    assert [re.sub(r"\s+", " ", text.split("s3:")[0]).strip() for text in found.texts["summary"][-4:]] == [
        f"{title} {len(body)} bytes"
        for title, body in zip(
            ("Receipt", "Intent", "Plan", "Backup"),
            (
                evidence.bodies[retirement_key("sales 2026", "offboard-acme", "receipt.json")],
                evidence.bodies[retirement_key("sales 2026", "offboard-acme", "intent.json")],
                next(body for key, body in evidence.bodies.items() if key.startswith("plans/")),
                evidence.bodies[backup_key("sales 2026", "offboard-acme", BACKUP_SHA256)],
            ),
            strict=True,
        )
    ]
    addresses = {text for text in found.texts["code"] if text.count("/") > 2}
    assert addresses == {f"s3://{BUCKET_NAME}/{key}" for key in evidence.bodies}
    assert ["createdAt and updatedAt" in text for text in found.texts["pre"]] == [False, False, False, True]
    assert "open" not in {name for _, attributes in found.elements for name in attributes}


@pytest.mark.parametrize("enumeration", [Outcome, Reason])
def test_every_word_is_known(enumeration: type[Outcome] | type[Reason]) -> None:
    """The report has words for every outcome and reason that the stack gives."""
    known = STATES.keys() | RESTORE_STATES.keys() if enumeration is Outcome else REASONS.keys()
    assert set(enumeration) <= known


def test_every_state_has_its_colour() -> None:
    """Every state has a dot of its own colour, and every one of a chart a bar."""
    style = Path(page.__file__).with_name("page.css").read_text()
    for state in (*STATES, *RESTORE_STATES):
        name = state.replace("_", "-")
        assert f".dot.{name} {{ background: var(--{name}); }}" in style
        assert (f"rect.{name} {{ fill: var(--{name}); }}" in style) == (state in page.CHARTED)


def test_unknown_outcomes(evidence: KeptEvidence) -> None:
    """An outcome and a reason of a later version are shown in their own words."""
    evidence.tell("sales", outcome="handed_over", reason="owner_moved")
    html = page_of(evidence)
    found = parsed(html)
    assert "Handed over" in found.texts["bdi"]
    assert "owner moved" in found.texts["bdi"]
    assert 'class="other"' in html


def test_why_it_was_blocked(evidence: KeptEvidence) -> None:
    """What was blocked is listed by reason, the most frequent first, with the message said once where all say it."""
    for number in range(2):
        evidence.tell(f"found-{number}", outcome="blocked", reason="dependents_found", message=f"{number} would break")
    for number in range(3):
        evidence.tell(f"safe-{number}", outcome="blocked", reason="protected", message="It is protected.")
    found = parsed(page_of(evidence))
    assert [text for text in found.texts["h3"] if "2026" not in text] == [
        "The stack protects this datamart 3",
        "Embeds use it 2",
    ]
    (section,) = [text for text in found.texts["section"] if "Blocked requests, by reason" in text]
    assert section.count("It is protected.") == 1
    assert section.index("safe-0") < section.index("found-0")


def test_what_is_scheduled(evidence: KeptEvidence) -> None:
    """What is scheduled is listed with its time, the next one first."""
    for day in (9, 3, 7):
        evidence.tell(f"due-{day}", "schedule-1.json", outcome="scheduled", retireAt=f"2026-12-0{day}T08:00:00Z")
    found = parsed(page_of(evidence))
    (section,) = [text for text in found.texts["section"] if "Scheduled and cancelled" in text]
    assert re.findall(r"due-\d", section) == ["due-3", "due-7", "due-9"]
    assert "3 Dec 2026, 08:00" in section


def test_what_was_abandoned_before(evidence: KeptEvidence) -> None:
    """Of what has ended since, it tells why it was given up, and no more what to do about it."""
    message = "Given up after 6 receives. Databrain does not answer: send the request again from the queue Failures"
    abandoned = {"outcome": "failed", "reason": "databrain_unavailable", "message": message}
    evidence.tell("sales", "failure-1.json", **abandoned)
    evidence.deletion("sales")
    evidence.tell("costs", "failure-1.json", **abandoned | {"reason": None, "message": "nobody knows why"})
    evidence.deletion("costs")
    listed = page_of(evidence).partition("Abandoned earlier, and ended since then")[2].partition("</ul>")[0]
    assert '<bdi class="quiet">Databrain did not respond, or responded with errors</bdi>' in listed
    assert '<bdi class="quiet">nobody knows why</bdi>' in listed
    assert "send the request again" not in listed


def test_a_rejected_event_is_named_once(evidence: KeptEvidence) -> None:
    """Its message ends with its id, which stands beside it."""
    evidence.reject("e-1", message="detail must have the field reason (event e-1)")
    evidence.reject("e-2", message="something else (event e-1)")
    html = page_of(evidence, Limits(documents=0))
    assert '<bdi class="name">detail must have the field reason</bdi><bdi class="code">event e-1</bdi>' in html
    assert '<bdi class="name">something else (event e-1)</bdi><bdi class="code">event e-2</bdi>' in html


def test_the_chart_as_a_table(evidence: KeptEvidence) -> None:
    """What the chart shows, a table says in words."""
    evidence.deletion("sales", ago=1)
    evidence.tell("ops", outcome="blocked", ago=1)
    evidence.deletion("finance", ago=3)
    evidence.tell("later", "schedule-1.json", outcome="scheduled")
    (table, *_) = parsed(page_of(evidence)).texts["tbody"]
    assert table.split("\n") == ["", "19 Nov 20261 deleted, 1 blocked", "17 Nov 20261 deleted", ""]


def test_restores(evidence: KeptEvidence) -> None:
    """A restore is shown with its name, differences and new embed IDs, and in the record of its retirement."""
    evidence.deletion("sales", ago=1)
    evidence.restore("sales", restoredAs="sales copy", differences=["datamart.label"], reason="with_differences")
    found = parsed(page_of(evidence))
    (section,) = [text for text in found.texts["section"] if text.strip().startswith("Restores")]
    for shown in ("as sales copy", "back-1", "Restored", "Requested byoffboarding", "Differences1", "it differs from"):
        assert shown in section
    assert "EmbedSales board board: created as board-2" in section
    (retirement,) = [text for text in found.texts["section"] if text.strip().startswith("All retirements")]
    assert "Restore20 Nov 2026, 09:29 UTC, Restored as sales copy, back-1" in retirement
    assert "1 datamart was deleted, with a verified backup. 1 datamart was restored." in found.texts["p"]
    assert "Needs attention" not in found.texts["h2"]


@pytest.mark.parametrize(("differences", "shown"), [(0, "Differencesnone"), (100, "Differences100 or more")])
def test_count_of_differences(evidence: KeptEvidence, differences: int, shown: str) -> None:
    """The receipt lists 100 differences at most."""
    evidence.restore("sales", differences=["datamart.label"] * differences)
    assert shown in page_of(evidence).replace("</dt><dd>", "")


def test_restores_that_need_attention(evidence: KeptEvidence) -> None:
    """An abandoned restore, and one without a result, need a person; one that was blocked does not."""
    evidence.restore("sales", "failure-1.json", outcome="failed", restoreId="failed", restoredEmbeds=[])
    evidence.restore("sales", outcome="restore_blocked", reason="name_taken", restoreId="blocked", restoredEmbeds=[])
    intent = {"request": {"datamartName": "sales", "requestedBy": "ops"}, "restoredAs": "sales"}
    evidence.put(restore_key("sales", "offboard-acme", "open", "intent.json"), intent)
    found = parsed(page_of(evidence))
    (attention,) = [text for text in found.texts["section"] if "Needs attention" in text]
    assert "Restores that were abandoned or have no result: 2" in attention
    (section,) = [text for text in found.texts["section"] if text.strip().startswith("Restores 3")]
    assert "It may have created the datamart and some of its embeds already." in section
    assert "Requested byops" in section
    assert "Restore blocked" in section
    assert "1 restore failed and can be redriven." in found.texts["p"]


def test_a_planned_embed(evidence: KeptEvidence) -> None:
    """What a dry run says about embeds is not shown as done."""
    evidence.restore("sales", outcome="restore_planned", reason="dry_run")
    assert "<dt>Embed, planned</dt>" in page_of(evidence)


def test_a_rejected_restore(evidence: KeptEvidence) -> None:
    """A rejected request to restore is told from one to retire."""
    evidence.reject("e-1", message="no", **restoration("sales"))
    evidence.reject("e-2", message="no")
    html = page_of(evidence, Limits(documents=0))
    assert '<bdi class="code">restore, event e-1</bdi>' in html
    assert '<bdi class="code">event e-2</bdi>' in html
    assert "<dt>Restore ID</dt>" in html


# ---- Limits --------------------------------------------------------------------------------------------------------


def test_a_long_document(evidence: KeptEvidence) -> None:
    """A document that is too long is cut at the limit, and the page says so."""
    evidence.tell("sales", message="m" * 1_900)
    found = parsed(page_of(evidence, Limits(document=500)))
    assert [len(text) for text in found.texts["pre"]] == [500]
    assert "Only the first 500 characters are shown. The complete document is at the address above." in found.texts["p"]


def test_a_large_document(evidence: KeptEvidence) -> None:
    """Of a document of many megabytes only the beginning is read and shown."""
    evidence.put(backup_key("sales", "r1", BACKUP_SHA256), b'{"datamart":"' + b"d" * 5_000_000 + b'"}')
    html = page_of(evidence)
    (text,) = parsed(html).texts["pre"]
    assert text.startswith('{"datamart":"ddd')
    assert "4.8 MiB" in html
    assert len(html) < 100_000


def test_a_document_that_is_not_given_out(evidence: KeptEvidence) -> None:
    """A backup that was archived has its address on the page, and why it is not there."""
    evidence.deletion("sales")
    evidence.locked = {backup_key("sales", "offboard-acme", BACKUP_SHA256)}
    found = parsed(page_of(evidence))
    assert len(found.texts["pre"]) == 3
    assert "S3 did not return it: InvalidObjectState." in found.texts["p"]


def test_many_documents_of_one_retirement(evidence: KeptEvidence) -> None:
    """Of a retirement with very many documents the first are shown, and where the others are."""
    for number in range(1, 8):
        evidence.tell("sales", f"schedule-{number}.json", outcome="scheduled")
    found = parsed(page_of(evidence, Limits(papers=5)))
    assert len(found.texts["pre"]) == 5
    assert "2 more" in found.texts["b"]
    assert f"s3://{BUCKET_NAME}/retirements/sales/offboard-acme/" in found.texts["code"]


def test_documents_of_many_retirements(evidence: KeptEvidence) -> None:
    """Documents are on the page as far as their limit goes, those of the newest retirements; the rest is counted."""
    for number in range(10):
        evidence.deletion(f"sales-{number}", ago=number)
    evidence.reject("e1")
    sizes = [len(page_of(evidence, Limits(documents=limit)).encode()) for limit in (0, 15_000, 10_000_000)]
    found = parsed(page_of(evidence, Limits(documents=15_000)))
    shown = len([text for text in found.texts["pre"] if "createdAt and updatedAt" in text])
    assert 0 < shown < 10
    assert f"The documents of {10 - shown} older retirements are not on this page" in " ".join(found.texts["p"])
    assert f"sales-{shown - 1}" in found.texts["pre"][-2]
    assert sizes[1] - sizes[0] <= 60_000
    assert sizes[0] < sizes[1] < sizes[2]


def test_many_retirements(evidence: KeptEvidence) -> None:
    """Retirements are listed as far as their limit goes; the others are counted, and in the totals and the chart."""
    for number in range(40):
        evidence.tell(f"sales-{number}", outcome="blocked", reason="protected", ago=number)
    found = parsed(page_of(evidence, Limits(records=20_000)))
    listed = [identifier for identifier in found.values("id") if re.fullmatch(r"r\d+", identifier)]
    assert 0 < len(listed) < 40
    assert f"{40 - len(listed)} older retirements are counted above and not listed here" in " ".join(found.texts["p"])
    assert "40 requests were blocked." in found.texts["p"]
    assert {href[1:] for href in found.values("href") if href.startswith("#r")} <= set(listed)


def test_long_lists(evidence: KeptEvidence) -> None:
    """Every list ends at a limit, and says how many more there are."""
    for number in range(8):
        evidence.tell(f"a-{number}", outcome="blocked", reason=f"reason {number}")
        evidence.tell(f"b-{number}", "failure-1.json", outcome="failed", reason=f"reason {number}")
        evidence.tell(f"c-{number}", "cancelled.json", outcome="cancelled")
        evidence.put(f"unknown/{number}", b"")
        evidence.reject(f"e{number}")
    found = parsed(page_of(evidence, LITTLE))
    assert Counter(re.findall(r"And (\d+) more", " ".join(found.texts["p"]))) == {"5": 3, "15": 1}
    assert "5 older events are not on this page." in " ".join(found.texts["p"])
    assert len([text for text in found.texts["h3"] if "Reason" in text]) == 3


def test_thousands_of_retirements(evidence: KeptEvidence) -> None:
    """The page of thousands of retirements with large backups stays within its limits, and reads only what it shows."""
    for number in range(1_500):
        evidence.deletion(f"sales-{number}", ago=number)
        evidence.put(backup_key(f"sales-{number}", "offboard-acme", BACKUP_SHA256), b'"' + b"<" * 50_000 + b'"')
    limits = Limits(documents=1_000_000, records=1_000_000)
    html = page_of(evidence, limits)
    assert len(html.encode()) < limits.documents + limits.records + 500_000
    assert len(evidence.reads) < 1_500 + 200


# ---- For everybody -------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def whole() -> Parsed:
    """A page with every section."""
    return parsed(page_of(everything("sales", "text")))


def test_headings(whole: Parsed) -> None:
    """There is one heading of the first level, and no level is left out on the way down."""
    levels = [int(tag[1]) for tag, _ in whole.elements if re.fullmatch(r"h\d", tag)]
    assert levels.count(1) == 1
    assert all(after <= before + 1 for before, after in zip([0, *levels], levels, strict=False))


def test_tables_and_pictures_have_words(whole: Parsed) -> None:
    """Each table has a caption and headers with a scope, and the chart a text in its place."""
    tags = Counter(tag for tag, _ in whole.elements)
    assert tags["table"] == tags["caption"] == 2
    assert [attributes for tag, attributes in whole.elements if tag == "th" and "scope" not in attributes] == []
    (chart,) = [attributes for tag, attributes in whole.elements if tag == "svg"]
    assert chart["role"] == "img"
    assert chart["aria-label"].startswith("Retirements by day, from 7 Nov 2026 to 20 Nov 2026.")


def test_ids_are_unique(whole: Parsed) -> None:
    """No two elements have one id, and every label is of one that there is."""
    ids = Counter(whole.values("id"))
    assert max(ids.values()) == 1
    assert set(whole.values("aria-labelledby")) <= ids.keys()


def colours() -> Iterator[dict[str, str]]:
    """The colours by name, in light and in dark."""
    style = Path(page.__file__).with_name("page.css").read_text()
    for block in re.findall(r":root \{(.*?)\}", style, re.DOTALL)[:2]:
        yield dict(re.findall(r"--([a-z-]+): (#[0-9a-f]{6})", block))


def luminance(colour: str) -> float:
    """Relative luminance (https://www.w3.org/TR/WCAG22/#dfn-relative-luminance)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    """Contrast ratio (https://www.w3.org/TR/WCAG22/#dfn-contrast-ratio)."""
    darker, lighter = sorted((luminance(one), luminance(other)))
    return (lighter + 0.05) / (darker + 0.05)


def test_contrast() -> None:
    """Text, and dots and bars that mean something, stand out from their ground as WCAG 2.2 AA asks, in both themes."""
    themes = list(colours())
    assert len(themes) == 2
    for theme in themes:
        grounds = theme["paper"], theme["raised"]
        assert all(contrast(theme[name], ground) >= 4.5 for name in ("ink", "quiet", "link") for ground in grounds)
        assert all(contrast(theme[state.replace("_", "-")], theme["paper"]) >= 3 for state in [*STATES, "other"])
