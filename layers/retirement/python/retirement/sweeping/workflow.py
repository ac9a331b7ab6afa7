"""One sweep, from the policy to the report. The next sweep does what this one does not finish.

Each step can be repeated, also concurrently with another sweep: a request is stored before it is sent, under an
identity that is derived from rule and datamart, and the stored request is what is sent.
"""

from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import cast

from retirement.canonical import Document, Json, canonical_json, ordered_json, parse_json
from retirement.databrain.snapshot import Listing
from retirement.delivery.intake import CANCELLED, REQUESTED
from retirement.environment import S3Location
from retirement.errors import ConfigurationError, DatabrainUnexpected
from retirement.outcomes import Outcome
from retirement.record.keys import SWEEP_REQUESTS, sweep_report_key, sweep_request_key
from retirement.record.record import Record, read_listed
from retirement.record.standing import Stage
from retirement.stored_object import OwnersFile, StoredObject
from retirement.sweeping.ids import Subject, latest_numbers
from retirement.sweeping.intake import parse_policy
from retirement.sweeping.policy import SweepPolicy
from retirement.sweeping.ports import SweepPorts
from retirement.sweeping.report import Cancelled, Matched, Skipped, State, SweepReport
from retirement.sweeping.rules import (
    Datamart,
    Decision,
    Earlier,
    EmbedUse,
    Finding,
    Lapsed,
    Status,
    Step,
    cancellation_of,
    decide,
    judge,
    lapsed_of,
    refuse_by_limits,
    request_of,
)
from retirement.sweeping.settings import SweepSettings
from retirement.timestamps import parse_timestamp
from retirement.wording import shortened

SOURCE = "datamart-retirement.sweep"
MAX_CONCURRENCY = 8  # records of earlier retirements that are read at once

# By the outcome in the receipt. `cancelled` is missing, because `cancelled.json` says whether a sweep cancelled it.
_STATUSES: Mapping[Outcome | None, Status] = {
    Outcome.DELETED: Status.GONE,
    Outcome.ALREADY_ABSENT: Status.GONE,
    Outcome.PLANNED: Status.NOT_CARRIED_OUT,
    Outcome.BLOCKED: Status.NOT_CARRIED_OUT,
}
_UNENDED = {
    Stage.REQUESTED: (Status.UNANSWERED, "was requested before, and has no answer yet"),
    Stage.SCHEDULED: (Status.SCHEDULED, "was requested before"),
    Stage.AWAITING_APPROVAL: (Status.SCHEDULED, "awaits approval"),
    Stage.STARTED: (Status.IN_PROGRESS, "is in progress"),
    Stage.ABANDONED: (Status.ABANDONED, "failed"),
}
_STATES = {
    Step.ASK: State.ASKED,
    Step.REPEAT: State.REPEATED,
    Step.WAIT: State.PENDING,
    Step.NOTHING: State.ENDED,
}


@dataclass(frozen=True, slots=True)
class _Sweep:
    """One sweep, who started it (None: its timer), its settings and its ports."""

    sweep_id: str
    started_at: datetime
    started_by: str | None
    settings: SweepSettings
    ports: SweepPorts

    def report(self, policy_file: OwnersFile | None) -> SweepReport:
        """Return a report that says nothing yet about what the sweep found."""
        return SweepReport(
            sweep_id=self.sweep_id,
            environment=self.settings.environment_name,
            started_at=self.started_at,
            finished_at=self.ports.clock.now(),
            policy=self.settings.sweep_policy_uri,
            policy_version_id=None if policy_file is None else policy_file.version_id,
            stored_as=S3Location(self.settings.evidence_bucket_name, sweep_report_key(self.sweep_id)),
        )


@dataclass(frozen=True, slots=True)
class _Requested:
    """The last retirement of a subject that an earlier sweep requested."""

    datamart_name: str
    rule_name: str
    retirement_id: str
    number: int


def sweep(
    invocation_id: str, settings: SweepSettings, ports: SweepPorts, *, dry_run: bool, started_by: str | None
) -> Document:
    """Request the retirement of what the policy's rules match, and cancel what they no longer match.

    Args:
        invocation_id: makes the ID of the sweep unique.
        settings: the function's.
        ports: those of this invocation.
        dry_run: whether to request and cancel nothing, whatever the policy says.
        started_by: the person who started it; None if its timer did.

    Returns:
        The report as it was published.

    Raises:
        ConfigurationError: the policy, another file of the owner's or the secret is missing or wrong; a report with
            this refusal is published too.
        RetirementError: Databrain or AWS did not answer. The next sweep does what this one did not.
    """
    with ports.telemetry.sweep():
        now = ports.clock.now()
        this = _Sweep(f"{now:%Y%m%dT%H%M%SZ}-{invocation_id}", now, started_by, settings, ports)
        policy_file = None
        try:
            policy_file = ports.policy.read()  # 1. read the policy
            policy = parse_policy(policy_file)
            return _apply(replace(policy, dry_run=policy.dry_run or dry_run), policy_file, this)
        except ConfigurationError as error:
            _publish(this, replace(this.report(policy_file), refusal=str(error)))
            raise


def _apply(policy: SweepPolicy, policy_file: OwnersFile, this: _Sweep) -> Document:
    """Steps 2 to 7."""
    # 2. read the owner's lists, and then the organisation, once
    lists = this.ports.datamart_lists.read()
    listing = this.ports.databrain.list_datamarts_with_updates()
    datamarts = [
        Datamart(name, created_at, listing.updated_at.get(name)) for name, created_at in listing.created_at.items()
    ]
    use = _embed_use(this, policy)
    _refuse_secrets(this, listing, use)
    this.ports.telemetry.step("read", datamarts=len(datamarts), rules=len(policy.rules), dryRun=policy.dry_run)

    # 3. match
    now = this.started_at
    findings = [judge(datamart, policy.rules, this.settings, lists, use, now) for datamart in datamarts]

    # 4. look up earlier requests, and what has become of them
    earlier = _requested_before(this, datamarts)

    # 5. decide, and check the limits
    decisions = [decide(finding, earlier[finding.datamart.name], now) for finding in findings if finding.matches]
    lapsed = [entry for finding in findings for entry in lapsed_of(finding, earlier[finding.datamart.name], now)]
    refusal = refuse_by_limits(decisions, len(datamarts), this.settings)
    this.ports.telemetry.step("decide", matched=len(decisions), lapsed=len(lapsed), refusal=refusal)

    # 6. cancel, then request; a dry run does neither
    cancelled = [_cancel(this, entry, dry_run=policy.dry_run) for entry in lapsed]
    matched = [
        _carry_out(this, decision, refusal, dry_run=policy.dry_run)
        for decision in decisions
        if decision.step is not Step.SPARE
    ]

    # 7. report
    return _publish(
        this,
        replace(
            this.report(policy_file),
            dry_run=policy.dry_run,
            datamarts=len(datamarts),
            refusal=refusal,
            matched=matched,
            cancelled=cancelled,
            skipped=_skipped(findings, decisions),
        ),
    )


def _embed_use(this: _Sweep, policy: SweepPolicy) -> EmbedUse:
    """Step 2: read the embeds if a rule needs them. A refused key makes embeds undetermined; a failure is raised."""
    if not any(rule.without_embeds for rule in policy.rules):
        return EmbedUse({}, (), ())
    embeds, failures = this.ports.databrain.list_embeds()
    if failures:
        raise failures[0]
    return EmbedUse.of(embeds.filled_in(this.ports.embed_map.read()))


def _refuse_secrets(this: _Sweep, listing: Listing, use: EmbedUse) -> None:
    """Step 2: refuse names and IDs that contain a secret, because requests and the report contain them."""
    shown: Document = {
        "datamarts": list(listing.created_at),
        "embeds": [*use.by_datamart.values(), use.undetermined],
        "gaps": use.gaps,
    }
    place = this.ports.databrain.place_of_secret(shown)
    if place is not None:
        raise DatabrainUnexpected(
            f"What Databrain lists contains a token or a data app's key, in {place}, so it was not stored: remove the "
            "secret from Databrain, and replace it with a new one"
        )


def _requested_before(this: _Sweep, datamarts: Sequence[Datamart]) -> Mapping[str, Mapping[str, Earlier]]:
    """Step 4: return the last requests by datamart and rule, from one list of keys; removed rules are included."""
    numbers = latest_numbers(this.ports.evidence.list(SWEEP_REQUESTS))
    rule_names = sorted({subject.rule for subject in numbers})
    requested = [
        _Requested(datamart.name, rule_name, subject.retirement_id(number), number)
        for datamart in datamarts
        for rule_name in rule_names
        if (number := numbers.get(subject := Subject.of(rule_name, datamart.name, datamart.created_at)))
    ]
    found: dict[str, dict[str, Earlier]] = {datamart.name: {} for datamart in datamarts}
    with ThreadPoolExecutor(max_workers=MAX_CONCURRENCY) as pool:
        for one, earlier in zip(requested, pool.map(partial(_earlier, this), requested), strict=True):
            found[one.datamart_name][one.rule_name] = earlier
    return found


def _earlier(this: _Sweep, requested: _Requested) -> Earlier:
    """Determine what has become of an earlier retirement; the first object that exists decides."""
    record = Record(this.ports.evidence, requested.datamart_name, requested.retirement_id)
    date = _date_of(_stored_request(this, requested))
    standing = record.standing(this.started_at)
    if standing.stage in {Stage.ENDED, Stage.CANCELLED}:
        status, summary = _end_of(requested, record)
    else:
        status, what = _UNENDED[standing.stage]
        if standing.stage is Stage.ABANDONED and standing.has_intent:
            status = Status.NOT_CARRIED_OUT
        summary = f"{requested.retirement_id} {what}"
        date = record.current_date.retire_at if record.current_date else date
    return Earlier(requested.retirement_id, requested.number, status, summary, date)


def _end_of(requested: _Requested, record: Record) -> tuple[Status, str]:
    outcome = record.outcome
    if outcome not in _STATUSES and record.cancelled is not None:
        return _cancelled_by(requested, record.cancelled)
    return _STATUSES.get(outcome, Status.CANCELLED), f"{requested.retirement_id} ended as {outcome}"


def _cancelled_by(requested: _Requested, cancelled: StoredObject) -> tuple[Status, str]:
    """Return whether a sweep or a person cancelled a retirement: only the former is requested again if it matches."""
    with cancelled.parsed() as cancellation:
        by, when, why = (str(cancellation.get(field)) for field in ("requestedBy", "requestedAt", "requestReason"))
        event = cancellation.get("event")
    if _source_of(event) == SOURCE:
        return Status.NOT_CARRIED_OUT, f"a sweep cancelled {requested.retirement_id} at {when}"
    who = f"{shortened(by)} cancelled {requested.retirement_id} at {when} ({shortened(why)})"
    return Status.CANCELLED, f"{who}, so no sweep requests it again"


def _source_of(event: Json) -> Json:
    """Return the source of the event that cancelled; unlike `requestedBy`, the sender cannot choose it freely."""
    try:
        parsed = parse_json(str(event))
    except ValueError:
        return None
    return parsed.get("source") if isinstance(parsed, Mapping) else None


def _carry_out(this: _Sweep, decision: Decision, refusal: str | None, *, dry_run: bool) -> Matched:
    """Step 6: request a retirement, unless the sweep is refused or a dry run."""
    state, retire_at = _STATES[decision.step], decision.retire_at
    if decision.step in {Step.ASK, Step.REPEAT}:
        if refusal is not None:
            state = State.HELD_BACK
        elif dry_run:
            state = State.WOULD_ASK
        else:
            retire_at = _request(this, decision)
    return Matched(
        datamart_name=decision.datamart.name,
        rule=decision.rule.name,
        also_matched=decision.also_matched,
        why=decision.why,
        retirement_id=decision.retirement_id,
        retire_at=retire_at,
        state=state,
    )


def _request(this: _Sweep, decision: Decision) -> datetime:
    """Store the request unless it exists, send the stored one, and return its date.

    A concurrent sweep sends the same, and after a crash in between the next sweep sends it.
    """
    requested = canonical_json(request_of(decision, this.settings.environment_name, this.started_by))
    stored = this.ports.evidence.create(sweep_request_key(decision.retirement_id), requested)
    detail = _request_in(stored, decision.datamart.name, decision.retirement_id)
    # The event has the time at which this sweep began: a datamart that was re-created since then is another one.
    this.ports.event_bus.put(source=SOURCE, detail_type=REQUESTED, detail=detail, time=this.started_at)
    this.ports.telemetry.step("request", **detail)
    return _date_of(detail)


def _cancel(this: _Sweep, lapsed: Lapsed, *, dry_run: bool) -> Cancelled:
    """Step 6: cancel a retirement, unless the sweep is a dry run."""
    if not dry_run:
        detail = cancellation_of(lapsed, this.settings.environment_name)
        this.ports.event_bus.put(source=SOURCE, detail_type=CANCELLED, detail=detail)
        this.ports.telemetry.step("cancel", **detail)
    return Cancelled(
        datamart_name=lapsed.datamart.name,
        rule=lapsed.rule_name,
        why=lapsed.why,
        retirement_id=lapsed.earlier.retirement_id,
        retire_at=lapsed.earlier.retire_at,
    )


def _skipped(findings: Sequence[Finding], decisions: Sequence[Decision]) -> list[Skipped]:
    """Return what a rule names but is not requested: no rule matches it, or a person has cancelled its retirement."""
    spared = {decision.datamart.name: decision.why for decision in decisions if decision.step is Step.SPARE}
    skipped = []
    for finding in findings:
        if finding.datamart.name in spared:
            skipped.append(Skipped(finding.datamart.name, spared[finding.datamart.name]))
        elif finding.misses and not finding.matches:
            whys = "; ".join(f"{miss.rule_name}: {miss.why}" for miss in finding.misses)
            skipped.append(Skipped(finding.datamart.name, whys))
    return skipped


def _publish(this: _Sweep, report: SweepReport) -> Document:
    """Step 7: store the complete report, then publish it."""
    this.ports.evidence.create(report.stored_as.key, ordered_json(report.document()))
    message = report.message()
    this.ports.reports_topic.publish(message)
    this.ports.telemetry.swept(message)
    return message


# ---- What is stored ------------------------------------------------------------------------------------------------


def _stored_request(this: _Sweep, requested: _Requested) -> Document:
    stored = read_listed(this.ports.evidence, sweep_request_key(requested.retirement_id))
    return _request_in(stored, requested.datamart_name, requested.retirement_id)


def _request_in(stored: StoredObject, datamart_name: str, retirement_id: str) -> Document:
    """Return the stored detail. It is sent as it is, so it has to name this datamart and this retirement."""
    with stored.parsed() as detail:
        if (detail.get("datamartName"), detail.get("retirementId")) != (datamart_name, retirement_id):
            raise stored.malformed()
        _date_of(detail)
    return detail


def _date_of(detail: Document) -> datetime:
    return parse_timestamp(cast("str", detail["retireAt"]))
