"""Every link within the repository leads somewhere."""

from urllib.parse import unquote, urlsplit

import pytest

from local.emulator import CHECKOUT
from tests.docs.pages import Page


@pytest.mark.parametrize("page", Page.all(), ids=lambda page: page.name)
def test_links(page: Page) -> None:
    """A relative link leads to a file or folder of the repository, and its anchor to a heading there."""
    broken = [link for link in page.links if not leads_somewhere(page, link)]
    assert broken == []


def leads_somewhere(page: Page, link: str) -> bool:
    """Whether a link has an end, as far as that can be told without a network."""
    parts = urlsplit(link)
    if parts.scheme:
        return parts.scheme in {"https", "mailto"}
    target = (page.path.parent / unquote(parts.path)).resolve() if parts.path else page.path
    if not target.exists() or not target.is_relative_to(CHECKOUT):
        return False
    return not parts.fragment or parts.fragment in Page(str(target.relative_to(CHECKOUT))).anchors


@pytest.mark.parametrize(
    ("link", "there"),
    [
        ("safety.md", True),
        ("safety.md#not-promised", True),
        ("#the-promises", True),
        ("adr", True),
        ("../template.yaml", True),
        ("https://example.com", True),
        ("http://example.com", False),
        ("unsafety.md", False),
        ("safety.md#promised", False),
        ("#the-threats", False),
        ("../..", False),
    ],
)
def test_a_link_that_leads_nowhere_is_found(link: str, there: bool) -> None:  # noqa: FBT001  # a parameter of the test
    """A page, heading or file that is not there is told from one that is."""
    assert leads_somewhere(Page("docs/safety.md"), link) is there
