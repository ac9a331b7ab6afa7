"""The Markdown pages of this repository, taken apart."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

from local.emulator import CHECKOUT

SHELLS = frozenset({"sh", "bash", "console"})
_MARKDOWN = MarkdownIt("commonmark").enable("table")


@dataclass(frozen=True)
class Block:
    """A fenced block, and the heading that it stands under."""

    language: str
    text: str
    section: str

    @property
    def anchor(self) -> str:
        """That of its heading."""
        return anchor(self.section)


@dataclass(frozen=True)
class Page:
    """One page, by its path in the repository."""

    name: str

    @classmethod
    def all(cls) -> "list[Page]":
        """Every page of the repository."""
        paths = (*CHECKOUT.glob("*.md"), *CHECKOUT.glob("[!.]*/**/*.md"))
        return [cls(str(path.relative_to(CHECKOUT))) for path in sorted(paths)]

    @property
    def path(self) -> Path:
        """Where it is."""
        return CHECKOUT / self.name

    @cached_property
    def tokens(self) -> list[Token]:
        """The page as it is read."""
        return _MARKDOWN.parse(self.path.read_text())

    @cached_property
    def anchors(self) -> set[str]:
        """What a link can name behind `#`: the headings, as GitHub spells them."""
        return {anchor(title) for title in self._titles()}

    @cached_property
    def blocks(self) -> list[Block]:
        """Every fenced block, in order."""
        found, section = [], ""
        for token, following in zip(self.tokens, [*self.tokens[1:], None], strict=True):
            if token.type == "heading_open" and following is not None:
                section = following.content
            if token.type == "fence":
                found.append(Block(token.info.strip(), token.content, section))
        return found

    def commands(self, section: str) -> list[str]:
        """The command blocks under a heading, in order; every one of them, so unpack them."""
        found = [block.text for block in self.blocks if block.section == section and block.language in SHELLS]
        assert found, f"{self.name} has no commands under {section!r}"
        return found

    @cached_property
    def links(self) -> list[str]:
        """Where its links and pictures lead."""
        return [str(token.attrs[name]) for token in self._inline() for name in ("href", "src") if name in token.attrs]

    @cached_property
    def spans(self) -> list[str]:
        """What stands in backticks outside of blocks."""
        return [token.content for token in self._inline() if token.type == "code_inline"]

    def tables(self, section: str, first: str) -> list[list[list[str]]]:
        """The rows, as written, of the tables in a section whose first column has this header."""
        return [rows[1:] for title, rows in self._tables() if title == section and rows[0][0] == first]

    def table(self, section: str, first: str) -> list[list[str]]:
        """The same where there is one."""
        (table,) = self.tables(section, first)
        return table

    def _titles(self) -> list[str]:
        return [
            following.content
            for token, following in zip(self.tokens, self.tokens[1:], strict=False)
            if token.type == "heading_open"
        ]

    def _inline(self) -> Iterator[Token]:
        for token in self.tokens:
            yield from token.children or []

    def _tables(self) -> Iterator[tuple[str, list[list[str]]]]:
        section, rows = "", list[list[str]]()
        for token, following in zip(self.tokens, [*self.tokens[1:], None], strict=True):
            if following is None:
                continue
            if token.type == "heading_open":
                section = following.content
            elif token.type == "table_open":
                rows = []
            elif token.type == "tr_open":
                rows.append([])
            elif token.type in {"th_open", "td_open"}:
                rows[-1].append(following.content)
            elif following.type == "table_close":
                yield section, rows


def anchor(title: str) -> str:
    """The anchor that GitHub gives a heading."""
    return re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-")


def plain(cell: str) -> str:
    """A cell without its markup."""
    return re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", cell).replace("`", "").replace("**", "")
