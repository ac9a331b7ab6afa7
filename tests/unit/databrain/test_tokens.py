import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retirement.canonical import Json
from retirement.databrain.tokens import ReadSecrets, is_bearer_token

KEY = "3f2504e0-4f89-11d3"


@pytest.mark.parametrize(
    "text", ["550e8400-e29b-41d4-a716-446655440000", "dbn_live_abc123...", "service_token_xyz", "a/b+c==", "a", "~._-"]
)
def test_tokens(text: str) -> None:
    """Every form of a token that Databrain's pages show can be sent."""
    assert is_bearer_token(text)
    assert httpx.Headers({"Authorization": f"Bearer {text}"})["Authorization"] == f"Bearer {text}"


@pytest.mark.parametrize(
    "text",
    [
        *("", " ", "a\n", " a", "a ", "a\r\nX: y", "a\x00", "é", "\ud800", "a\x7f", "٣"),
        *(
            "=",
            "TOKEN=x",
            "a=b=",
            '{"token":"a"}',
            "{token:x}",
            '"a"',
            "[1]",
            "user:a",
            "a,b",
            "a;b",
            "a@b",
            "a\\b",
            "a%20",
        ),
    ],
)
def test_what_is_no_token(text: str) -> None:
    """What is no b64token of RFC 6750 is no token, though a header could carry some of it."""
    assert not is_bearer_token(text)


@pytest.mark.parametrize(
    ("document", "place"),
    [
        ({"datamartTables": [{"label": "Orders"}, {"label": KEY}]}, "datamartTables[1].label"),
        ({"a": {"b": f"x{KEY}"}, "c": KEY}, "a.b"),
        ({"a": f"https://databrain.test/?token={KEY}&more"}, "a"),
        ({"a": [[f"{'é' * 7}{KEY}"]]}, "a[0][0]"),
        ({"a": {f"key {KEY}": 1}}, "a.*"),
        ([1, None, True, KEY], "[3]"),
        ({"a": 12345678}, "a"),
        ({"a": [0.5, 1912345678]}, "a[1]"),
        (KEY, ""),
        ({"a": KEY[1:], "b": KEY[:-1], "c": KEY.upper(), "d": f"{KEY[:9]} {KEY[9:]}"}, None),
        ({"a": 1234567, "b": True, "c": None, "secret": "short"}, None),
        ({"a": "see not a token"}, "a"),
        ({}, None),
    ],
)
def test_place_of_a_secret(document: Json, place: str | None) -> None:
    """A secret is found in any text, wherever it begins; what is too short for one is none."""
    secrets = ReadSecrets([KEY, "12345678", "another-secret", "short", "e", "not a token", ""])

    assert secrets.place_in(document) == place
    assert ReadSecrets().place_in(document) is None
    assert KEY not in repr(secrets)


SECRETS = st.sets(st.text("ab", min_size=8, max_size=20), min_size=1)


@given(SECRETS, st.text("abc", max_size=60), st.data())
def test_every_place(secrets: set[str], text: str, data: st.DataObject) -> None:
    """The search finds what a plain one finds."""
    at = data.draw(st.integers(0, len(text)))
    held = text[:at] + data.draw(st.sampled_from(sorted(secrets))) + text[at:]

    assert ReadSecrets(secrets).place_in([held]) == "[0]"
    assert (ReadSecrets(secrets).place_in([text]) is not None) is any(secret in text for secret in secrets)
