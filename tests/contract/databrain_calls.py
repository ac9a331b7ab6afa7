"""Calls to the local Databrain server by plain HTTP, and what its answers say."""

from typing import Any

import httpx

JsonObject = dict[str, Any]


def bearer(token: str) -> dict[str, str]:
    """Return the header that carries a token."""
    return {"Authorization": f"Bearer {token}"}


def error_of(answer: httpx.Response) -> tuple[int, str | None, str]:
    """Return status, code and message of an error answer."""
    error = answer.json()["error"]
    assert error["status"] == answer.status_code
    return answer.status_code, error.get("code"), error["message"]


def names_in(answer: httpx.Response) -> list[str]:
    """Return the names of a list that was answered with 200."""
    assert answer.status_code == 200, answer.text
    return [item["name"] for item in answer.json()["data"]]


def put_faults(client: httpx.Client, *rules: JsonObject) -> None:
    """Put fault rules in force."""
    assert client.put("/_control/faults", json=rules).status_code == 204
