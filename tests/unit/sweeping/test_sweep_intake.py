"""What is a policy, and what is said of one that is not."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest

from retirement.aws.sweep_policy_file import SIZE_LIMIT
from retirement.delivery.intake import schema
from retirement.errors import ConfigurationError
from retirement.stored_object import OwnersFile
from retirement.sweeping.intake import MAX_GLOBS, is_dry_run, parse_policy
from retirement.sweeping.policy import SweepPolicy, SweepRule
from tests.fakes import START

WHERE = "SweepPolicyUri: s3://policies/sweep.json"
RULE: dict[str, Any] = {
    "name": "expired-trials",
    "owner": "growth@example.com",
    "reason": "trials end after 30 days",
    "names": ["trial-*"],
    "retireAfter": "14 days",
}
EVERYTHING = RULE | {
    "names": ["trial-*", "demo ?"],
    "exempt": ["trial-acme"],
    "olderThan": "30 days",
    "notUpdatedFor": "1 day",
    "withoutEmbeds": True,
}


def parsed(policy: object) -> SweepPolicy:
    """A policy, from JSON or from the bytes of a file."""
    body = policy if isinstance(policy, bytes) else json.dumps(policy).encode()
    return parse_policy(OwnersFile(WHERE, body, None, START))


def of(*rules: object, **fields: object) -> dict[str, object]:
    """A policy of these rules."""
    return {"formatVersion": "1", "rules": list(rules), **fields}


def without(name: str) -> dict[str, Any]:
    """The rule without a field."""
    return {field: value for field, value in RULE.items() if field != name}


def complaint(policy: object) -> str:
    """What is said of it, after where it is."""
    with pytest.raises(ConfigurationError) as raised:
        parsed(policy)
    message = str(raised.value)
    assert message.startswith(WHERE)
    return message.removeprefix(WHERE).removeprefix(": ")


def test_the_least() -> None:
    """A rule needs a name, an owner, a reason, globs and a grace; the policy is then a dry run, without conditions."""
    assert parsed(of(RULE)) == SweepPolicy(
        rules=(
            SweepRule(
                name="expired-trials",
                owner="growth@example.com",
                reason="trials end after 30 days",
                names=("trial-*",),
                exempt=(),
                older_than=None,
                not_updated_for=None,
                without_embeds=False,
                retire_after=timedelta(days=14),
            ),
        ),
        dry_run=True,
    )


def test_everything() -> None:
    """Each field is what it says, and rules keep their order."""
    policy = parsed(of(EVERYTHING, RULE | {"name": "second", "retireAfter": "0 days"}, dryRun=False))

    first, second = policy.rules
    assert first == SweepRule(
        name="expired-trials",
        owner="growth@example.com",
        reason="trials end after 30 days",
        names=("trial-*", "demo ?"),
        exempt=("trial-acme",),
        older_than=timedelta(days=30),
        not_updated_for=timedelta(days=1),
        without_embeds=True,
        retire_after=timedelta(days=14),
    )
    assert (second.name, second.retire_after) == ("second", timedelta(0))
    assert not policy.dry_run


@pytest.mark.parametrize(("said", "dry_run"), [({}, True), ({"dryRun": True}, True), ({"dryRun": False}, False)])
def test_dry_run(said: dict[str, bool], dry_run: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A policy is a dry run unless it says otherwise."""
    assert parsed(of(RULE, **said)).dry_run is dry_run


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"", "is not valid JSON"),
        (b"{", "is not valid JSON"),
        (b"rules:\n", "is not valid JSON"),
        (b'{"formatVersion": "1", "rules": [], "rules": []}', "is not valid JSON: an object has a duplicate key"),
        (b'{"formatVersion": NaN}', "is not valid JSON"),
        (b"[" * 100_000, "is not valid JSON: it is nested deeper than 100 levels"),
        (b"\xff", "is not valid JSON"),
    ],
)
def test_no_json(body: bytes, said: str) -> None:
    """A file that is not valid JSON is no empty policy."""
    assert complaint(body).strip().startswith(said)


def test_what_an_editor_makes_of_it() -> None:
    """A byte order mark is none of the policy."""
    assert parsed(b"\xef\xbb\xbf" + json.dumps(of(RULE)).encode()) == parsed(of(RULE))


@pytest.mark.parametrize(
    ("policy", "said"),
    [
        (None, "the policy must be a JSON object; it is null"),
        ([], "the policy must be a JSON object; it is a list of 0"),
        ("rules", 'the policy must be a JSON object; it is "rules"'),
        ({}, "the policy must have the field formatVersion, rules"),
        ({"rules": [RULE]}, "the policy must have the field formatVersion"),
        (of(RULE, formatVersion="2"), 'formatVersion must be "1"; it is "2"'),
        (of(RULE, formatVersion=1), 'formatVersion must be "1"; it is 1'),
        (of(RULE, dryrun=False), 'the policy must not have the unknown field "dryrun" (did you mean dryRun?)'),
        (
            of(RULE, dryRun="false"),
            "dryRun must be true or false: the sweep requests and cancels retirements only if it is false",
        ),
        (of(RULE, dryRun=0), "dryRun must be true or false"),
        (
            of(),
            (
                "rules must be a list of 1 to 50 rules, of which the first one that matches a datamart requests its "
                "retirement; it is a list of 0"
            ),
        ),
        (of(*[RULE] * 51), "rules must be a list of 1 to 50 rules"),
        (of(RULE) | {"rules": {"trials": RULE}}, "rules must be a list of 1 to 50 rules"),
        (of(RULE, 7), "rules.1 must be an object with a rule; it is 7"),
        (of(RULE, None), "rules.1 must be an object with a rule; it is null"),
        (of(RULE, RULE), 'rules.1.name is "expired-trials", and another rule has that name'),
    ],
)
def test_no_policy(policy: object, said: str) -> None:
    """What is wrong with a policy is told by the field and the rule."""
    assert complaint(policy).startswith(said)


@pytest.mark.parametrize("field", ["name", "owner", "reason", "names", "retireAfter"])
def test_a_field_is_missing(field: str) -> None:
    """A rule without a field that it needs is named by its place."""
    assert complaint(of(RULE | {"name": "first"}, without(field))) == f"rules.1 must have the field {field}"


@pytest.mark.parametrize(
    ("field", "meant"), [("olderThen", "olderThan"), ("notupdatedFor", "notUpdatedFor"), ("exemt", "exempt")]
)
def test_a_misspelt_condition(field: str, meant: str) -> None:
    """A condition that is misspelt would widen its rule, so it is an error."""
    said = complaint(of(RULE | {field: "30 days"}))

    assert said == f'rules.0 must not have the unknown field "{field}" (did you mean {meant}?)'


WRONG: dict[str, list[object]] = {
    "name": ["", "Trials", "two words", "-a", "a_b", "a" * 41, "\u0661", "a\n", 1, None],
    "owner": ["", "o" * 201, "\ud800", 7, None, ["a"]],
    "reason": ["", "r" * 1_001, "\udfff", 7, None],
    "names": [[], {}, "trial-*", None, ["*"] * 101],
    "exempt": [{}, "trial-*", None, ["*"] * 1_001],
    "olderThan": [30, "30", "0 days", "30days", "30 d", "-1 days", "1.5 days", "10000 days", "P30D", " 30 days", None],
    "notUpdatedFor": [30, "0 days", "\u0663 days", "30 days\n", "+1 days", "01 days", None],
    "withoutEmbeds": ["true", 1, 0, None, "no"],
    "retireAfter": [14, 0, "14", "366 days", "-1 days", "00 days", "400 days", "1e2 days", "14 hours", None],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in WRONG.items() for value in values])
def test_a_wrong_value(field: str, value: object) -> None:
    """A value of another type or beyond its limits is named with the field, what it must be, and what came."""
    described = schema("Sweep Policy")["properties"]["rules"]["items"]["properties"][field]["description"]

    assert complaint(of(RULE | {field: value})).startswith(f"rules.0.{field} must be {described}; it is ")


@pytest.mark.parametrize("field", ["names", "exempt"])
@pytest.mark.parametrize("glob", ["", " ", "\t\n\u00a0", "g" * 257, "\ud800", 7, None, ["*"]])
def test_a_wrong_glob(field: str, glob: object) -> None:
    """A glob that is none is named by its place in the list."""
    said = complaint(of(RULE | {field: ["*", glob]}))

    assert said.startswith(f"rules.0.{field}.1 must be a glob of 1 to 256 characters that are not all spaces; it is ")


def test_spaces_around_a_glob() -> None:
    """Spaces around a glob are none of it, those within it are."""
    (parsed_rule,) = parsed(of(RULE | {"names": [" trial *\n", "demo"], "exempt": ["\u00a0trial-acme\t"]})).rules

    assert (parsed_rule.names, parsed_rule.exempt) == (("trial *", "demo"), ("trial-acme",))


RIGHT: dict[str, list[object]] = {
    "name": ["a", "0", "a-", "a" * 40],
    "owner": ["o" * 200, "\U0001f642" * 200],
    "reason": ["r" * 1_000, " "],
    "names": [["*"] * 100, ["g" * 256], ["\U0001f642" * 256], ["[!a]?", " a "]],
    "exempt": [[], ["*"]],
    "olderThan": ["1 day", "1 days", "9999 days"],
    "notUpdatedFor": ["30 days"],
    "withoutEmbeds": [True, False],
    "retireAfter": ["0 days", "1 day", "99 days", "100 days", "299 days", "359 days", "365 days"],
}


@pytest.mark.parametrize(("field", "value"), [(field, value) for field, values in RIGHT.items() for value in values])
def test_a_value_at_its_limit(field: str, value: object) -> None:
    """What is just within its limits is taken."""
    (rule,) = parsed(of(RULE | {field: value})).rules

    assert rule.name


def test_every_field_is_tried() -> None:
    """Each field of a rule has wrong and right values above."""
    fields = schema("Sweep Policy")["properties"]["rules"]["items"]["properties"]

    assert WRONG.keys() == RIGHT.keys() == fields.keys() == EVERYTHING.keys()


def test_globs_in_all() -> None:
    """The work of a sweep is bounded: so many globs in all rules, and not one more."""
    rules = [RULE | {"name": f"rule-{number}", "exempt": ["x"] * 19} for number in range(50)]
    assert MAX_GLOBS == 50 * (1 + 19)
    assert len(parsed(of(*rules)).rules) == 50

    rules[7]["exempt"] = ["x"] * 20
    assert complaint(of(*rules)) == "rules must have at most 1,000 globs in names and exempt, and have 1,001"


def test_a_hostile_message() -> None:
    """A text of any length and content is shortened in the message, which is printable."""
    for policy in (
        of(RULE | {"owner": "\x00\u202e" * 100_000}),
        of(RULE | {"x" * 100_000: 1}),
        {"\ud800" * 1_000: 1, "formatVersion": "1", "rules": [RULE]},
    ):
        said = complaint(policy)
        assert len(said) < 500
        assert said.isprintable()


@pytest.mark.parametrize("escaped", [True, False])
def test_no_policy_is_too_large(escaped: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """The longest policy that is valid is within the limit of what is read, however it is written."""
    rule = RULE | {"owner": "\U0001f642" * 200, "reason": "\U0001f642" * 1_000, "names": ["\U0001f642" * 256] * 20}
    largest = of(*[rule | {"name": f"{number:040}"} for number in range(50)])
    body = json.dumps(largest, indent=4, ensure_ascii=escaped).encode()

    assert len(parsed(body).rules) == 50
    assert SIZE_LIMIT / 4 < len(body) < SIZE_LIMIT


def test_a_rules_name_fits_an_id() -> None:
    """Every name of a rule can be part of a retirementId."""
    retirement_id = schema("Datamart Retirement Requested")["properties"]["detail"]["properties"]["retirementId"]

    for name in RIGHT["name"]:
        assert re.fullmatch(retirement_id["pattern"], f"sweep-{name}-{'0' * 16}-{10**9}")


@pytest.mark.parametrize("event", [{"dryRun": True}, {"dryRun": True, "requestedBy": "you@example.com"}])
def test_invoked_as_a_dry_run(event: object) -> None:
    """The event of an invocation asks for a dry run; an event without a word about it, such as a timer's, does not."""
    assert is_dry_run(event)
    assert not any(map(is_dry_run, ({}, None, [], {"dryRun": False}, {"time": "2026-03-01T12:00:00Z"})))


@pytest.mark.parametrize("asked", ["true", 1, None, {}])
def test_unclear_whether_it_is_a_dry_run(asked: object) -> None:
    """A sweep whose event is unclear about it requests nothing."""
    with pytest.raises(ConfigurationError, match="dryRun in the event must be true or false"):
        is_dry_run({"dryRun": asked})
