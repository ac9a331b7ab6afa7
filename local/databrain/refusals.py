"""How the API says no."""

from local.databrain.validation import JsonObject


class ApiError(Exception):
    """An answer other than 200, with the code and message of the published pages; a code of None is left out.

    `tells_status` is false on the one page whose example does not repeat the status in the body.
    """

    def __init__(self, status: int, code: str | None, message: str, *, tells_status: bool = True) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.tells_status = tells_status

    def envelope(self) -> JsonObject:
        """Return the body of the answer."""
        code = {} if self.code is None else {"code": self.code}
        status = {"status": self.status} if self.tells_status else {}
        return {"error": {**code, "message": self.message, **status}}


def invalid_request(message: str = "Invalid request body") -> ApiError:
    """Return the answer to most kinds of wrong request; Databrain gives the same code to an unknown datamart."""
    return ApiError(400, "INVALID_REQUEST_BODY", message)
