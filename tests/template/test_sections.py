"""The order of template.yaml."""

import re
from pathlib import Path

TEMPLATE = Path(__file__).parents[2] / "template.yaml"


def test_sections_are_in_the_promised_order() -> None:
    """The sections of the template are those that its first lines name, in that order."""
    first, rest = re.split(r"(?m)^(?=AWSTemplateFormatVersion)", TEMPLATE.read_text())
    promised = " ".join(re.findall(r"(?m)^# (.*)$", first)).partition(": ")[2].rstrip(".").split("; ")
    headings = [heading.casefold() for heading in re.findall(r"(?m)^ *# -{4} (.*?) -+$", rest)]
    assert [heading.partition(": ")[0] for heading in headings] == promised
