"""What can be sent as a bearer token."""


def is_bearer_token(text: str) -> bool:
    """Printable ASCII without spaces (RFC 6750, section 2.1). What no header can carry, httpx shows in its errors."""
    return text.isascii() and text.isprintable() and " " not in text and text != ""
