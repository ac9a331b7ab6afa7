"""Datamart names that are legal and that careless code breaks on."""

from collections.abc import Mapping

# What names become in an S3 key and in a subject; a key ends at 1,024 bytes, a subject at 99 characters.
WRITTEN: Mapping[str, tuple[str, str]] = {
    "two words": ("two%20words", "two words"),
    " leading and trailing ": ("%20leading%20and%20trailing%20", " leading and trailing "),
    "a/b": ("a%2Fb", "a/b"),
    "/": ("%2F", "/"),
    "../../etc": ("..%2F..%2Fetc", "../../etc"),
    "100%": ("100%25", "100%"),
    "%2F": ("%252F", "%2F"),
    "%": ("%25", "%"),
    "a&b=c": ("a%26b%3Dc", "a&b=c"),
    "a+b": ("a%2Bb", "a+b"),
    "a?b#c": ("a%3Fb%23c", "a?b#c"),
    ".": ("%2E", "."),
    "..": ("%2E%2E", ".."),
    'it\'s "quoted"': ("it%27s%20%22quoted%22", 'it\'s "quoted"'),
    "back\\slash": ("back%5Cslash", "back\\slash"),
    "{braces} and ${more}": ("%7Bbraces%7D%20and%20%24%7Bmore%7D", "{braces} and ${more}"),
    "Größe 数据 🙂": ("Gr%C3%B6%C3%9Fe%20%E6%95%B0%E6%8D%AE%20%F0%9F%99%82", "Gr??e ?? ?"),
    "e\u0301 is not \u00e9": ("e%CC%81%20is%20not%20%C3%A9", "e? is not ?"),
    "\u202eright to left": ("%E2%80%AEright%20to%20left", "?right to left"),
    "\ufeffseparated\u2028": ("%EF%BB%BFseparated%E2%80%A8", "?separated?"),
    "<script>alert('x')</script>": ("%3Cscript%3Ealert%28%27x%27%29%3C%2Fscript%3E", "<script>alert('x')</script>"),
    "receipt.json": ("receipt.json", "receipt.json"),
    "%2e%2e/%2e%2e/x": ("%252e%252e%2F%252e%252e%2Fx", "%2e%2e/%2e%2e/x"),
    "__proto__": ("__proto__", "__proto__"),
    "n" * 256: ("n" * 256, "n" * 71 + "..."),
    "%" * 256: ("%25" * 186 + "%2!c03a12a8f0b5b2b3c7733abcb0f01c7c", "%" * 71 + "..."),
    "🙂" * 256: ("%F0%9F%99%82" * 46 + "%F0%9F%9!f927a0a905f791f4d9f99511886685d0", "?" * 71 + "..."),
}
HOSTILE_NAMES = tuple(WRITTEN)
