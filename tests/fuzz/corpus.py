"""Inputs that fuzzing starts from: for each target good ones, and the bombs that are known."""

from __future__ import annotations

import json
from collections.abc import Iterator

_SECTION = b"""## idea-012: Cosine decay
- **Priority**: high
- **Parent**: idea-007
- **GPUs**: 2
- **Timeout**: 1h30m
- **After**: idea-001, idea-002

```yaml
training: {schedule: cosine, lr: 1.0e-3, layers: [1, 2]}
```
"""
_ANCHORS = b"a: &a [x, x]\n" + b"".join(
    b"%c: &%c [*%c, *%c]\n" % (n, n, n - 1, n - 1) for n in range(ord("b"), ord("z"))
)
_YAML = [
    b"training:\n  lr: 0.1\n  steps: [1, 2.5, null, true, ~]\nname: 'x'\n",
    b"base: &b {lr: 1}\nmore: {<<: *b, on: off}\n",
    b"- a\n- b\n", b"a: !!python/object/apply:os.system [id]\n", b"a: !tag 1\n", b"? [1, 2]\n: 3\n",
    b"a: 0x1F\nb: 0o17\nc: 1_000\nd: 1:30:00\ne: .inf\nf: .nan\ng: 2026-01-01\n",
    b"a: 1\na: 2\n", b"a: |\n  text\n  more\nb: >-\n  folded\n", b"%YAML 1.1\n---\na: 1\n...\n",
]  # fmt: skip
_YAML_BOMBS = [
    _ANCHORS, b"a: " + b"[" * 5000, b"a: " + b"9" * 50_000, b"a: &a [*a]\n", b"{a: " * 3000,
    b"a: 0x" + b"f" * 50_000, b"a: 1" + b":59" * 20_000, b"<<: " + b"[{a: 1}, " * 500, b"\0", b"\xff\xfe",
]  # fmt: skip
_METRICS = [
    b'{"status": "COMPLETED", "val_loss": 0.5, "val": {"acc": 0.9}}', b'{"status": "FAILED", "error": "x"}',
    b'{"status": "COMPLETED", "loss": NaN, "a": [Infinity, -Infinity, 1e999]}', b'{"status": 5}', b"[]",
    b'"x"', b"null", b'{"status": "COMPLETED", "a": "\\ud800", "\\udfff": 1}', b"\xef\xbb\xbf{}",
]  # fmt: skip
_JSON_BOMBS = [
    b"[" * 100_000, b'{"a":' * 5000, b'{"status": "COMPLETED", "a": ' + b"9" * 100_000 + b"}",
    b'{"a": "' + b"\\u0000" * 10_000 + b'"}', b"-" * 100_000, b" " * 900_000,
]  # fmt: skip
_CLAIM = {"kind": "CLAIM", "nonce": "a", "token": "t1", "attempt": 1, "pid": 7, "start": 9, "at": 5.0}
_END = {"token": "t1", "attempt": 1, "directory": "1-t1", "seconds": 2.0, "at": 6.0, "nonce": "b"}
_DONE = {"kind": "DONE", **_END, "metrics": {"val_loss": 0.5}, "evaluated": True, "post_errors": ["x"]}
_FAIL = {"kind": "FAIL", **_END, "cause": "script", "error": "x", "final": False}
_TRAINED = {"kind": "TRAINED", **_END, "metrics": {"val_loss": 0.5}}
_LOST = {"kind": "LOST", "supersedes": "$tail", "seen_gone": False, "nonce": "c"}
_RETRY = {"kind": "RETRY", "reopens": "$tail", "nonce": "d"}
_LEAD = {"kind": "LEAD", "token": "d1", "term": 1, "nonce": "e"}
_RESIGN = {"kind": "RESIGN", "token": "d1", "nonce": "f"}
_ENTRY = {
    "kind": "ENTRY", "nonce": "g", "term": 1, "alloc": [["uuid", "idea-002"]],
    "register": [["idea-001", "ab", "## idea-001: a"], ["idea-002", "ab", "text"]],
    "outcomes": [["idea-001", "COMPLETED", {"metrics": {"val_loss": 0.5}, "at": 1.0, "attempt": 1}]],
    "hold": [["idea-002", "by a"]], "release": [["idea-002"]], "withdraw": [["idea-002"]],
    "vanish": [["idea-001"]], "restore": [["idea-001"]], "reopen": [["idea-001"]],
    "answers": [["u", "done"], ["v", "no", False]],
    "priority": [["idea-001", "high"]], "drain": [["gpu-a", "drained"]], "undrain": [["gpu-b"]],
    "use": [["gpu-a", "0,1"]],
}  # fmt: skip
_ODD = [
    "../../../etc", "", "/", "a/b", "..", None, -1, 1e308, 10**400, True, [], {}, [[]], "x" * 300, "\ud800",
]  # fmt: skip


def lines(*records: object) -> bytes:
    """Records as a target for chains reads them."""
    return b"\n".join(b"+" + json.dumps(record).encode() for record in records)


def _odd(*records: dict[str, object]) -> Iterator[bytes]:
    """The same records with each field of each in turn made odd."""
    for index, record in enumerate(records):
        for name in record:
            for value in _ODD:
                yield lines(*records[:index], {**record, name: value}, *records[index + 1 :])


_RAW = [b"", b"\0" * 100, b"[]", b"{}", b"+{}", b'{"kind": "CLAIM", "tok', b"+" + b"[" * 50_000, b"null"]
_ITEMS: list[object] = [5, [], ["a"], ["../x", "y"], [[], {}]]
_HOST = {"name": "gpu-a", "machine": "m", "boot": "b", "running": 1, "free": 1}
_CARDS = [["0", "H200", "free", 1.0, 141.0], ["1", "H200", "runs idea-001", None, None]]
_REQUESTS = [
    {"kind": "hold", "idea": "idea-001", "by": "ada", "at": 1.0},
    {"kind": "priority", "idea": "idea-001", "value": "high"},
    {"kind": "drain", "host": "gpu-a"},
    {"kind": "cards", "host": "gpu-a", "value": "0,1"},
]
_SETTINGS = [
    b"train_script: a.py\ntimeout: 2h\nlease: {heartbeat: 5, steal: 200}\n", b"lease: {steal: 61}\n",
    b"hosts:\n  gpu-*: {gpus: 0-3, train_extra_env: {A: 1.10}}\n", b"retry: {oom: 2}\npoll: ${HOME}\n",
    b"report: {columns: [{key: a, fmt: .4f, source: 'b.json:c.d'}]}\n", b"orphan_timeout_hours: 0.5\n",
]  # fmt: skip

CORPUS: dict[str, list[bytes]] = {
    "ideas": [
        _SECTION, _SECTION * 3, b"# Ideas\n\n" + _SECTION + b"\n~~~\nopen\n", b"<!--\n" + _SECTION,
        b"- " * 5000 + b"\n" + _SECTION, b"## idea-" + b"1" * 5000 + b"\n", b"\0\xff\n" + _SECTION,
        _SECTION.replace(b"\n", b"\r\n"), b"> " * 2000 + b"x\n", b"\xef\xbb\xbf" + _SECTION, b"\t" * 9000,
    ],
    "values": [*_YAML, *_YAML_BOMBS],
    "metrics": [*_METRICS, *_JSON_BOMBS],
    "progress": [b'{"step": 1}\n{"step": 2, "loss": NaN}\n{"st', b"x" * 9000, *_METRICS, *_JSON_BOMBS],
    "settings": [*_SETTINGS, *_YAML, *_YAML_BOMBS],
    "idea_chain": [
        *_RAW, lines(_CLAIM, _TRAINED, _DONE, _RETRY), lines(_CLAIM, _FAIL, {**_CLAIM, "attempt": 2}),
        lines(_CLAIM, _LOST), lines(_CLAIM, _DONE, _DONE), *_odd(_CLAIM, _DONE),
        *_odd(_CLAIM, _TRAINED, _DONE),
        *_odd(_CLAIM, {**_FAIL, "final": True}), *_odd(_CLAIM, _LOST),
        lines(_CLAIM, {**_DONE, "metrics": {"a": 10**400, "b": {"c": {"d": {"e": {"f": 1}}}}}}),
        lines(_CLAIM) + b"\n+" + json.dumps(_DONE).replace("0.5", "1e999").encode(),
        lines(_CLAIM) + b"\n+" + json.dumps(_DONE).replace("0.5", "NaN").encode(),
    ],
    "leader_chain": [
        *_RAW, lines(_LEAD, _RESIGN, {**_LEAD, "term": 2}, _LOST), *_odd(_LEAD, _RESIGN),
        b"+" + json.dumps(_LEAD).replace('"term": 1', '"term": 1e999').encode(),
    ],
    "journal": [
        *_RAW, lines(_ENTRY, {**_ENTRY, "term": 2}), *_odd(_ENTRY),
        *(lines({**_ENTRY, part: [odd]}) for part in _ENTRY for odd in _ITEMS),
        *(
            lines({**_ENTRY, "outcomes": [["idea-001", "COMPLETED", {name: odd}]]})
            for name in ("at", "attempt", "seconds", "metrics", "error", "title", "cause", "host", "gpu")
            for odd in _ODD
        ),
        *(
            lines({**_ENTRY, "outcomes": [["idea-001", "COMPLETED", {"metrics": {"a": odd}}]]})
            for odd in _ODD
        ),
    ],
    "requests": [
        *_RAW,
        *(json.dumps(request).encode() for request in _REQUESTS),
        *(json.dumps({**r, name: odd}).encode() for r in _REQUESTS for name in r for odd in _ODD),
    ],
    "hosts": [
        json.dumps({**_HOST, "cards": _CARDS}).encode(), *_RAW,
        *(json.dumps({**_HOST, "cards": _CARDS, n: o}).encode() for n in (*_HOST, "cards") for o in _ODD),
        *(json.dumps({**_HOST, "cards": [["0", "a", "b", o, 1]]}).encode() for o in (*_ODD, "nan", "inf")),
    ],
    "entry": [_SECTION, _SECTION * 2, b"## idea: a\n", b"## idea-?: a\n~~~\n", b"\n\n## idea-0\n", b"\xff"],
    "heartbeat": [b"%020d\n" % 5, b"", b"x" * 1000, b"\0" * 21],
}  # fmt: skip
