"""The scanner of ideas.md: tables of sections, and agreement with a CommonMark parser on any document."""

import re
from itertools import pairwise

import pytest
from hypothesis import assume, example, given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orze.ideas.scan import Section, revision, scan, scan_all

ORACLE = MarkdownIt("commonmark").disable("inline")

HEADINGS = [
    "## idea-1: a",
    "   ## idea-2: b",
    "    ## idea-3: c",
    "\t## idea-4: d",
    "## idea-5: e ##",
    "##\tidea-6",
]
OTHER_HEADINGS = ["# Notes", "##", "### idea-7", "#tag", "####### x", "## Notes", "\\## idea-8"]
FENCES = [
    "```",
    "````",
    "```yaml",
    "``` a`b",
    "~~~",
    "~~~~ x`y",
    " ```",
    "   ```",
    "    ```",
    "\t```",
    "```  ",
    "  ~~~",
]
LISTS = [
    "- a",
    "* a",
    "+ a",
    "1. a",
    "2. b",
    "10) x",
    "-",
    "1.",
    "- - a",
    "- 1. b",
    "-\ta",
    "-   a",
    "-     a",
]
NESTED = [
    "  - b",
    "    - b",
    "   - b",
    " - a",
    "- ```",
    "1. ~~~",
    "- ## idea-9: in",
    "- <div>",
    "- <!--",
    "- > q",
    "- ***",
]
QUOTES = ["> q", ">", "> > q", "> - a", ">\tq", "> ```", "> ## idea-10: q", "  > q", "> <!--", "> <a>"]
HTML = [
    "<div>",
    "</DIV>",
    "<a>",
    "</a>",
    "<x y='1' z>",
    "<a b",
    "<!--",
    "-->",
    "<!-- c -->",
    "<pre>",
    "</pre>",
    "<script x",
    "<?",
    "?>",
    "<!X",
]
MORE_HTML = ["<![CDATA[", "]]>", "  <div>", "text <b>", "<http://x.y>", "</script>", "<style", "<search/>"]
RULES = ["---", "***", "_ _ _", "===", "=", "--", "- - -", "* * *", "-*-"]
TEXT = [
    "",
    "",
    "",
    " ",
    "\t",
    "text",
    "  text",
    "     text",
    "\ttext",
    "a: 1",
    "`code`",
    "idea-11",
    "**x**",
    "é",
    "\x00",
    "\x0b",
]
ORDINARY = [*HEADINGS, *LISTS, *FENCES[:6], *NESTED[:4], "", "", "text", "  a: 1"]
FRAGMENTS = [*HEADINGS, *OTHER_HEADINGS, *FENCES, *LISTS, *NESTED, *QUOTES, *HTML, *MORE_HTML, *RULES, *TEXT]

# A lone tag cannot interrupt a paragraph that goes on lazily in a container (CommonMark 0.31.2, sections 4.6
# and 5.1). The oracle forgets it where the line before is indented like code: such documents prove nothing.
ORACLE_FORGETS = re.compile(
    r"(?:^|\n)(?: {4}| *\t)[^\n]*\n(?:[^\n]*\n)*? {0,3}</?(?:a|x|script|pre|style|search)\b[^\n]*>"
)


def expected(document: str) -> list[int]:
    """The lines on which the oracle sees an idea."""
    tokens = ORACLE.parse(document)
    return [
        token.map[0] + 1
        for token, inline in pairwise(tokens)
        if token.type == "heading_open" and token.level == 0 and token.markup == "##" and token.map
        if inline.content[:5].lower() == "idea-"
    ]


def lines(document: str) -> list[int]:
    return [section.line for section in scan(document.encode())]


@settings(max_examples=1000, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=10), st.sampled_from(["\n", "\r\n", "\r"]))
@example(["> q", "<a>", "## idea-1: a"], "\n")
@example(["- ```", "", "  ```x", "## idea-1: a"], "\n")
@example(["-", "", "  ## idea-1: a"], "\n")
def test_it_sees_the_headings_that_commonmark_sees(fragments: list[str], newline: str) -> None:
    document = "\n".join([*fragments, "## idea-99: the end", ""])
    assume(not ORACLE_FORGETS.search(document))
    assert lines(document.replace("\n", newline)) == expected(document)


@settings(max_examples=400, deadline=None)
@given(st.lists(st.sampled_from(ORDINARY), max_size=40))
def test_it_agrees_on_long_documents_of_ordinary_parts(fragments: list[str]) -> None:
    document = "\n".join(fragments)
    assert lines(document) == expected(document)


@settings(max_examples=400, deadline=None)
@given(st.text(alphabet="#-` \t\n\r>~*1.<a!=", max_size=40))
def test_it_agrees_on_any_soup_of_marks(soup: str) -> None:
    document = f"{soup}\n## idea-1: a\n"
    assume(not ORACLE_FORGETS.search(document.replace("\r\n", "\n").replace("\r", "\n")))
    assert lines(document) == expected(document)


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=12), st.lists(st.sampled_from(FRAGMENTS), max_size=12))
def test_a_scan_that_begins_at_a_section_finds_what_the_scan_of_all_finds(
    before: list[str], after: list[str]
) -> None:
    data = "\n".join([*before, "## idea-99: here", *after, ""]).encode()
    sections = scan(data)
    for number, section in enumerate(sections):
        assert scan(data[section.offset :], offset=section.offset, line=section.line) == sections[number:]


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(FRAGMENTS), max_size=20))
def test_sections_lie_where_they_say_and_never_overlap(fragments: list[str]) -> None:
    data = "\n".join(fragments).encode()
    end = 0
    for section in scan(data):
        body = data[section.offset : section.offset + section.length]
        assert section.offset >= end
        assert section.sha == revision(body)
        assert section.line == data[: section.offset].count(b"\n") + 1
        end = section.offset + section.length
    assert end <= len(data)


def test_a_section_runs_to_the_next_heading_of_level_one_or_two() -> None:
    data = b"intro\n\n## idea-001: One\n- x\n### deeper\n# Notes\n## idea-002: Two\ntext\n## Other\n"
    first, second = scan(data)
    assert data[first.offset :][: first.length] == b"## idea-001: One\n- x\n### deeper\n"
    assert data[second.offset :][: second.length] == b"## idea-002: Two\ntext\n"
    assert (first.id, first.title, first.line) == ("idea-001", "One", 3)
    assert (second.id, second.title, second.line) == ("idea-002", "Two", 7)


def test_offset_and_line_are_added_to_every_section() -> None:
    (section,) = scan(b"## idea-1: a\n", offset=1000, line=50)
    assert (section.offset, section.line) == (1000, 50)


@pytest.mark.parametrize(
    ("heading", "idea_id", "title"),
    [
        ("## idea-001: A title", "idea-001", "A title"),
        ("## idea-001:A title", "idea-001", "A title"),
        ("## idea-001 : A: title", "idea-001", "A: title"),
        ("  ##\tidea-001:  A title  ", "idea-001", "A title"),
        ("## idea-001: A title ###  ", "idea-001", "A title"),
        ("## idea-001: C#", "idea-001", "C#"),
        ("## idea-001", "idea-001", ""),
        ("## idea-001:", "idea-001", ""),
        ("## idea-7: Größe ↑", "idea-7", "Größe ↑"),
    ],
)
def test_the_heading_holds_id_and_title(heading: str, idea_id: str, title: str) -> None:
    (section,) = scan(heading.encode())
    assert (section.id, section.title, section.problem) == (idea_id, title, None)


@pytest.mark.parametrize(
    ("heading", "reason"),
    [
        ("## idea-abc: x", "'idea-abc: x': the id must be idea- and digits (18 at most), as in"),
        ("## idea-: x", "the id must be idea- and digits"),
        ("## idea-1a: x", "the id must be idea- and digits"),
        ("## Idea-001: x", "the id must be idea- and digits"),
        (f"## idea-{'1' * 19}: x", "the id must be idea- and digits (18 at most)"),
        ("## idea-١: x", "the id must be idea- and digits"),
        ("## idea-001.1: x", "an id such as idea-001.1 is given to a member of a sweep"),
        ("## idea-001 A title", "put a colon after the id, as in '## idea-001: A title'"),
    ],
)
def test_a_bad_id_is_a_problem_of_the_section(heading: str, reason: str) -> None:
    (section,) = scan(f"text\n{heading}\n".encode())
    assert section.id == ""
    assert section.line == 2
    assert reason in str(section.problem)


@pytest.mark.parametrize("text", ["idea-1: x", "# idea-1: x", "### idea-1: x", "## ideas", "> ## idea-1: x"])
def test_other_lines_are_no_ideas(text: str) -> None:
    assert scan(text.encode()) == []


@pytest.mark.parametrize(
    ("opening", "what"),
    [
        ("```yaml", "fence"),
        ("~~~", "fence"),
        ("- ```", "fence"),
        ("<!--", "HTML block"),
        ("<pre>", "HTML block"),
    ],
)
def test_what_is_never_closed_swallows_the_rest_and_is_named_with_its_line(opening: str, what: str) -> None:
    hidden = "  ## idea-2: b" if opening.startswith("-") else "## idea-2: b"
    found = scan_all(f"## idea-1: a\n\n{opening}\n{hidden}\n".encode())
    (section,) = found.sections
    assert not section.closed
    assert section.problem == f"the {what} opened on line 3 is never closed and hides what follows: close it"
    assert found.unclosed == (what, 3)


def test_what_is_open_before_the_first_idea_is_told() -> None:
    assert scan_all(b"text\n```\n## idea-1: a\n") == ([], ("fence", 2))


def test_a_fence_in_a_list_item_is_closed_by_leaving_the_item() -> None:
    first, second = scan(b"## idea-1: a\n- x\n  ```yaml\n  lr: 1\n## idea-2: b\n")
    assert first.closed and second.closed
    assert first.problem is None


def test_an_appended_blank_line_is_no_new_revision() -> None:
    shas = {scan(f"## idea-1: a\ntext{end}".encode())[0].sha for end in ("", "\n", "\n\n", "\r\n \t\n")}
    assert len(shas) == 1
    assert scan(b"## idea-1: a\ntext.\n")[0].sha not in shas


@pytest.mark.parametrize(
    ("body", "line", "what"),
    [
        (b"\n\nx\0", 5, "a NUL byte"),
        (b"\nx\xff\n\0", 4, "a byte that is not UTF-8"),
        (b"\r\nx\r\r\0\xff", 6, "a NUL byte"),
    ],
)
def test_bytes_that_are_no_text_are_a_problem_with_their_line(body: bytes, line: int, what: str) -> None:
    bad, good = scan(b"intro\n\n## idea-1: " + body + b"\n## idea-2: b\n")
    assert bad.problem == f"line {line} holds {what}: save the file as UTF-8 text"
    assert good.problem is None


def test_a_title_that_is_not_utf8_is_shown_with_replacements() -> None:
    (section,) = scan(b"## idea-1: a\xffb\n")
    assert section.title == "a\ufffdb"
    assert section.problem == "line 1 holds a byte that is not UTF-8: save the file as UTF-8 text"


def test_a_byte_order_mark_at_the_start_of_the_file_is_no_text() -> None:
    (section,) = scan(b"\xef\xbb\xbf## idea-1: a\n")
    assert (section.id, section.offset) == ("idea-1", 3)


def test_a_section_of_more_than_a_mebibyte_is_a_problem() -> None:
    long, good = scan(b"## idea-1: a\n" + b"text\n" * 220_000 + b"## idea-2: b\n")
    assert long.problem == "the section is longer than 1 MiB: shorten it"
    assert good.problem is None


def test_every_kind_of_line_ending_gives_the_same() -> None:
    plain = "## idea-1: a\n- **x**: y\n\n```yaml\nlr: 1\n```\n\n" * 3
    documents = [plain.replace("\n", newline).encode() for newline in ("\n", "\r\n", "\r")]
    assert len({str([(s.line, s.id, s.problem) for s in scan(document)]) for document in documents}) == 1


@pytest.mark.parametrize(
    "bomb",
    [
        b"- " * 50_000 + b"\n" * 50_000,
        b"> " * 50_000 + b"x\n" * 1000,
        b"- " * 50_000 + b"* " + b"- " * 50_000,
        b"<!--\n" + b"\n" * 300_000,
        b"<a" + b" b" * 50_000 + b"\n",
        b"<a" + b" b = " * 20_000 + b"\n",
        b"`" * 200_000 + b"\n" + b"`" * 199_999 + b"\n",
        b"\t" * 100_000 + b"x\n",
        b"1. " * 50_000,
        b"## idea-" + b"1" * 100_000,
        b"## " + b"#" * 100_000 + b" \n",
    ],
    ids=lambda bomb: bomb[:6].decode(),
)
@pytest.mark.timeout(10)
def test_no_document_takes_more_than_its_length(bomb: bytes) -> None:
    sections = scan(b"## idea-1: a\n" + bomb + b"\n## idea-2: b\n")
    assert isinstance(sections[0], Section)
