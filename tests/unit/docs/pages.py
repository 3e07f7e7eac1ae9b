"""Reads the project's Markdown pages: their headings, tables, code blocks and links."""

import re
from dataclasses import dataclass
from pathlib import Path

from markdown_it import MarkdownIt
from markdown_it.token import Token

ROOT = Path(__file__).parents[3]
_PARSER = MarkdownIt("commonmark").enable("table")
_NAMES = re.compile(r"`[^`]+`(, `[^`]+`)*( [A-Z]+)?")


@dataclass(frozen=True)
class Block:
    """A fenced block: the word behind its fence, its content, and its line in the page."""

    kind: str
    text: str
    line: int


class Page:
    """One page.

    Args:
        name: its path below the root of the project.
    """

    def __init__(self, name: str) -> None:
        self.path = ROOT / name
        self._tokens = _PARSER.parse(self.path.read_text(encoding="utf-8"))

    def blocks(self, kind: str) -> list[Block]:
        """The fenced blocks of a kind, such as `yaml`."""
        return [
            Block(kind, token.content, token.map[0] + 1)
            for token in self._tokens
            if token.type == "fence" and token.info.strip() == kind and token.map
        ]

    def anchors(self) -> set[str]:
        """What a link to a heading of this page may name, by the rule of GitHub."""
        return {_slug(_PARSER.renderInline(heading.content)) for _, heading in self._headings()}

    def links(self) -> set[str]:
        """The targets of all links and pictures."""
        found = set()
        for token in self._tokens:
            for child in token.children or ():
                if child.type in ("link_open", "image"):
                    found.add(str(child.attrs["href" if child.type == "link_open" else "src"]))
        return found

    def table(self, heading: str, number: int = 0) -> list[list[str]]:
        """The rows, without the first, of a table below a heading; cells are Markdown as it stands."""
        return self._tables(heading)[number][1:]

    def names(self, heading: str, number: int = 0) -> list[tuple[str, ...]]:
        """The code words in the first cell of each row of a table; the cell may hold nothing else."""
        cells = [row[0] for row in self.table(heading, number)]
        wrong = [cell for cell in cells if not _NAMES.fullmatch(cell)]
        assert not wrong, f"{self.path.name}, {heading}: {wrong} should be names in backticks"
        return [tuple(re.findall(r"`([^`]+)`", cell)) for cell in cells]

    def _headings(self) -> list[tuple[int, Token]]:
        found = [index for index, token in enumerate(self._tokens) if token.type == "heading_open"]
        return [(index, self._tokens[index + 1]) for index in found]

    def _tables(self, heading: str) -> list[list[list[str]]]:
        starts = [index for index, inline in self._headings() if inline.content == heading]
        assert len(starts) == 1, f"{self.path.name} has {len(starts)} headings {heading!r}"
        tables: list[list[list[str]]] = []
        for token in self._tokens[starts[0] + 1 :]:
            if token.type == "heading_open":
                break
            if token.type == "table_open":
                tables.append([])
            elif token.type == "tr_open":
                tables[-1].append([])
            elif token.type == "inline" and tables and token.level > 2:
                tables[-1][-1].append(token.content)
        return tables


def _slug(heading: str) -> str:
    text = re.sub(r"<[^>]*>", "", heading)
    return re.sub(r"[^\w\- ]", "", text).strip().lower().replace(" ", "-")
