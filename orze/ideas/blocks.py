"""Reads Markdown line by line and tells what each line is, by the block rules of CommonMark 0.31.2.

Only what decides where a top-level heading, a fence or an HTML block begins and ends is kept: the open
containers (block quotes and list items) and the one open leaf. Link reference definitions are read as
paragraphs, which they can only be told from by what cannot matter here. Source: https://spec.commonmark.org
"""

import re
from enum import Enum, auto


class Kind(Enum):
    """What a line is."""

    TEXT = auto()
    BLANK = auto()
    HEADING = auto()  # an ATX heading of level 1 or 2 outside every container
    FENCE_OPEN = auto()
    FENCE_BODY = auto()
    FENCE_CLOSE = auto()
    HTML = auto()


class _Leaf(Enum):
    NONE = auto()
    PARAGRAPH = auto()
    FENCE = auto()
    HTML = auto()


_QUOTE = 0  # a container is the width that its lines are indented by; a quote has none
_DEEPEST = 100  # deeper containers are read as text, so that a line costs no more than its length

_ATX = re.compile(r"(#{1,6})(?:[ \t]|\Z)")
_FENCE = re.compile(r"(`{3,}+)([^`]*)\Z|(~{3,}+)(.*)\Z", re.DOTALL)
_SETEXT = re.compile(r"(?:=+|-+)[ \t]*\Z")
_MARKER = re.compile(r"(?:[-+*]|([0-9]{1,9})[.)])(?=[ \t]|\Z)")

_VALUE = r"""(?:[^"'=<>`\x00-\x20]+|'[^']*'|"[^"]*")"""
_ATTRIBUTE = rf"[ \t]+[a-z_:][a-z0-9_.:-]*(?:[ \t]*=[ \t]*{_VALUE})?"
_LONE_TAG = re.compile(
    rf"<(?:[a-z][a-z0-9-]*(?:{_ATTRIBUTE})*[ \t]*/?|/[a-z][a-z0-9-]*[ \t]*)>[ \t]*\Z",
    re.ASCII | re.IGNORECASE,
)
_BLOCK_TAG = re.compile(
    r"</?(?:address|article|aside|base|basefont|blockquote|body|caption|center|col|colgroup|dd|details|dialog"
    r"|dir|div|dl|dt|fieldset|figcaption|figure|footer|form|frame|frameset|h[1-6]|head|header|hr|html|iframe"
    r"|legend|li|link|main|menu|menuitem|nav|noframes|ol|optgroup|option|p|param|search|section|summary|table"
    r"|tbody|td|tfoot|th|thead|title|tr|track|ul)(?:[ \t]|/?>|\Z)",
    re.ASCII | re.IGNORECASE,
)
_RAW_TAGS = "(?:script|pre|style|textarea)"
# Kinds 1 to 5 of an HTML block: how it begins, and what its last line contains.
_HTML_UNTIL = (
    (re.compile(rf"<{_RAW_TAGS}(?:[ \t>]|\Z)", re.I | re.A), re.compile(rf"</{_RAW_TAGS}>", re.I | re.A)),
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<\?"), re.compile(r"\?>")),
    (re.compile(r"<![A-Za-z]"), re.compile(r">")),
    (re.compile(r"<!\[CDATA\["), re.compile(r"\]\]>")),
)
_NEVER = re.compile(r"(?!)")  # kinds 6 and 7 end before a blank line, whatever their lines contain


def _measure(tail: str, column: int) -> tuple[str, int]:
    """Split `tail`, which begins at `column`, into its text and the columns of blank space before it."""
    text = tail.lstrip(" \t")
    blank = tail[: len(tail) - len(text)]
    if "\t" in blank:
        return text, len((" " * (column % 4) + blank).expandtabs(4)) - column % 4
    return text, len(blank)


def _is_break(text: str) -> bool:
    """Whether `text`, which begins with one of `-*_`, is a thematic break."""
    return not text.rstrip(text[0] + " \t") and text.count(text[0]) >= 3


def _html_end(text: str, *, in_paragraph: bool) -> re.Pattern[str] | None:
    """The pattern that ends the HTML block which `text` begins, or None when it begins none."""
    for begin, end in _HTML_UNTIL:
        if begin.match(text):
            return end
    if _BLOCK_TAG.match(text) or (not in_paragraph and _LONE_TAG.match(text)):
        return _NEVER
    return None


class Blocks:
    """The state between two lines of a document.

    Attributes:
        line: number of the last line fed.
        opened: line on which the open (or the last) fence or HTML block began.
        info: the info string of that fence.
        body: a FENCE_BODY line less its containers and the indentation of the fence.
    """

    def __init__(self, line: int) -> None:
        """Begin after line `line`: 0 for the start of a document, else a top-level heading."""
        self.line = line
        self.opened = line
        self.info = ""
        self.body = ""
        self._containers: list[int] = []
        self._fresh = False  # the innermost container is a list item without content yet
        self._leaf = _Leaf.NONE
        self._fence = ""
        self._fence_indent = 0
        self._html_end = _NEVER

    @property
    def unclosed(self) -> str | None:
        """What would swallow everything after the last line: a `fence`, an `HTML block` or nothing."""
        if self._leaf is _Leaf.FENCE:
            return "fence"
        return "HTML block" if self._leaf is _Leaf.HTML and self._html_end is not _NEVER else None

    def feed(self, line: str) -> Kind:
        """Take the next line, without its line ending, and tell what it is."""
        self.line += 1
        text, indent, column, depth = self._continue(line)
        inside = depth == len(self._containers)
        if inside and self._leaf is _Leaf.FENCE:
            return self._fence_line(line, text, indent)
        if inside and self._leaf is _Leaf.HTML and (text or self._html_end is not _NEVER):
            if self._html_end.search(text):
                self._leaf = _Leaf.NONE
            return Kind.HTML
        if not text:
            self._enter(depth, _Leaf.NONE)
            return Kind.BLANK
        return self._open(text, indent, column, depth)

    def _continue(self, line: str) -> tuple[str, int, int, int]:
        """Walk the containers that the line continues: its text, indent and column in them, and how many."""
        text, indent = _measure(line, 0)
        column = depth = 0
        for width in self._containers:
            if width == _QUOTE:
                if indent > 3 or not text.startswith(">"):
                    break
                text, indent, column = self._after_quote(text, indent, column)
            elif text:
                if indent < width:
                    break
                indent -= width
                column += width
            elif self._fresh and depth == len(self._containers) - 1:
                break  # a list item begins with at most one blank line
            depth += 1
        return text, indent, column, depth

    @staticmethod
    def _after_quote(text: str, indent: int, column: int) -> tuple[str, int, int]:
        column += indent + 1
        text, indent = _measure(text[1:], column)
        return (text, indent - 1, column + 1) if indent else (text, 0, column)

    def _fence_line(self, line: str, text: str, indent: int) -> Kind:
        if indent <= 3 and text.startswith(self._fence) and not text.rstrip(" \t").strip(self._fence[0]):
            self._leaf = _Leaf.NONE
            return Kind.FENCE_CLOSE
        plain = not self._containers and not self._fence_indent
        self.body = line if plain else " " * (indent - self._fence_indent) + text
        return Kind.FENCE_BODY

    def _enter(self, depth: int, leaf: _Leaf) -> None:
        """Close the containers deeper than `depth` and whatever leaf was open, and open `leaf`."""
        del self._containers[depth:]
        self._fresh = False
        self._leaf = leaf

    def _open(self, text: str, indent: int, column: int, depth: int) -> Kind:
        """Open what the rest of the line opens: containers, then at most one leaf."""
        paragraph = self._leaf is _Leaf.PARAGRAPH
        while indent <= 3:
            inside = depth == len(self._containers)
            kind = self._open_leaf(text, indent, depth, paragraph=paragraph, inside=inside)
            if kind is not None:
                return kind
            container = self._open_container(text, indent, column, interrupts=paragraph and inside)
            if container is None or depth == _DEEPEST:
                break
            self._enter(depth, _Leaf.NONE)
            text, indent, column, width = container
            self._containers.append(width)
            depth += 1
            paragraph = False
            if not text:
                self._fresh = width != _QUOTE
                return Kind.TEXT
        if not paragraph:
            self._enter(depth, _Leaf.PARAGRAPH if indent <= 3 else _Leaf.NONE)
        return Kind.TEXT

    def _open_leaf(self, text: str, indent: int, depth: int, *, paragraph: bool, inside: bool) -> Kind | None:
        """Open the heading, fence, HTML block or break that `text` is; None when it is none of them."""
        first = text[0]
        if first == "#" and (match := _ATX.match(text)):
            self._enter(depth, _Leaf.NONE)
            return Kind.HEADING if not depth and match.end(1) <= 2 else Kind.TEXT
        if first in "`~" and (match := _FENCE.match(text)):
            self._enter(depth, _Leaf.FENCE)
            self._fence, self.info = (match[1], match[2]) if match[1] else (match[3], match[4])
            self._fence_indent = indent
            self.opened = self.line
            return Kind.FENCE_OPEN
        if first == "<" and (end := _html_end(text, in_paragraph=paragraph)):
            self._enter(depth, _Leaf.NONE if end.search(text) else _Leaf.HTML)
            self._html_end = end
            self.opened = self.line
            return Kind.HTML
        underline = paragraph and inside and first in "=-" and _SETEXT.match(text)
        if underline or (first in "-*_" and _is_break(text)):
            self._enter(depth, _Leaf.NONE)
            return Kind.TEXT
        return None

    def _open_container(
        self, text: str, indent: int, column: int, *, interrupts: bool
    ) -> tuple[str, int, int, int] | None:
        """Read one container marker: the text, indent and column after it, and the container's width."""
        if text[0] == ">":
            return *self._after_quote(text, indent, column), _QUOTE
        match = _MARKER.match(text)
        if match is None:
            return None
        after = indent + match.end()
        rest, gap = _measure(text[match.end() :], column + after)
        if interrupts and (not rest or (match[1] and int(match[1]) != 1)):
            return None
        if rest and gap <= 4:
            return rest, 0, column + after + gap, after + gap
        return rest, max(gap - 1, 0), column + after + 1, after + 1
