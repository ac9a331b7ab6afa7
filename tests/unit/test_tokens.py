import httpx
import pytest

from retirement.tokens import is_bearer_token


@pytest.mark.parametrize(
    "text", ["550e8400-e29b-41d4-a716-446655440000", "dbn_live_abc123...", "service_token_xyz", "a/b+c=="]
)
def test_tokens(text: str) -> None:
    """Every form of a token that Databrain's pages show can be sent."""
    assert is_bearer_token(text)
    assert httpx.Headers({"Authorization": f"Bearer {text}"})["Authorization"] == f"Bearer {text}"


@pytest.mark.parametrize("text", ["", " ", "a\n", " a", "a ", "a\r\nX: y", "a\x00", "é", "\ud800", "a\x7f"])
def test_what_no_header_carries(text: str) -> None:
    """What a header cannot carry is no token."""
    assert not is_bearer_token(text)
