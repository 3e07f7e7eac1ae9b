"""Setting one value in YAML, JSON and TOML: that value and nothing else, comments as they were."""

import copy
import json
import tomllib
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.refine import setkey
from orze.refine.setkey import set_value

YAML = """\
# top: comment
model: {width: 64, "act": relu}   # flow
training:
  lr: 1e-3     # text, by YAML 1.1
  steps: 100   # steps: not this
  betas: [0.9, 0.999]
  sched:       # nothing yet
  name: "a: b # c"
  many:
    - x: 1
      y: 2  # second
    - 3
"a.b": 1
"""


@pytest.fixture(params=["libyaml", "python"])
def loader(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "python":
        monkeypatch.setattr(setkey, "_LOADER", yaml.SafeLoader)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("model.width", "128", "width: 64", "width: 128"),
        ("model.act", "gelu", '"act": relu}', '"act": gelu}'),
        ("model", "{width: 8}", 'model: {width: 64, "act": relu} ', "model: {width: 8} "),
        ("training.lr", "0.01", "lr: 1e-3 ", "lr: 0.01 "),
        ("training.lr", "1e-4", "lr: 1e-3 ", "lr: 1e-4 "),
        ("training.steps", "200 # more", "steps: 100 ", "steps: 200 "),
        ("training.betas.1", "0.95", "0.999", "0.95"),
        ("training.betas", "[0.8, 0.9]", "[0.9, 0.999]", "[0.8, 0.9]"),
        ("training.sched", "cosine", "sched: ", "sched: cosine "),
        ("training.name", "'x'", '"a: b # c"', "'x'"),
        ("training.many.0.y", "null", "y: 2 ", "y: null "),
        ("training.many.1", "{a: 4}", "- 3", "- {a: 4}"),
        ('"a.b"', "2", '"a.b": 1', '"a.b": 2'),
    ],
)
def test_a_yaml_value_is_set_and_every_other_byte_stays(key: str, value: str, old: str, new: str) -> None:
    for text in (YAML, YAML.replace("\n", "\r\n"), "\ufeff" + YAML, YAML.rstrip("\n")):
        assert YAML.count(old) == 1
        assert set_value("c.yaml", text, key, value) == text.replace(old, new)


@pytest.mark.usefixtures("loader")
@pytest.mark.parametrize(
    ("text", "key", "value", "fault"),
    [
        (YAML, "training.lrate", "1", "there is no training.lrate; in training there are lr"),
        (YAML, "training.many.2", "1", "in training.many there are 0, 1;"),
        (YAML, "training.lr.x", "1", "there is no training.lr.x"),
        (YAML, "training.many", "[]", "holds lines of its own"),
        (YAML, "training", "1", "holds lines of its own"),
        (YAML, "training.steps", "1e-4", "written with a point"),
        (YAML, "training.steps", "[1", "the value is no YAML"),
        (YAML, "training.steps", "a: 1", "no plain value"),
        (YAML, "training.steps", "- 1", "no plain value"),
        (YAML, "training.steps", "*x", "no YAML"),
        (YAML, "training.steps", "!!int 1", "no plain value"),
        (YAML, "model.width", "a, b: 1", ""),
        (YAML, "model.width", "a, b", "without changing more"),
        (YAML, "a..b", "1", "is no key"),
        ("a: |\n  text\n", "a", "1", "holds lines of its own"),
        ("a: 1\na: 2\n", "a", "3", "there 2 times"),
        ("a: &x 1\nb: *x\n", "a", "2", "anchor"),
        ("a: &x 1\nb: *x\n", "b", "2", "alias"),
        ("a: &x [1]\nb: [*x, *x]\n", "b.1", "2", "alias"),
        ("a: &x {c: 1}\nb: *x\n", "a.c", "2", "anchor"),
        ("a: !t 1\n", "a", "2", "anchor or a tag"),
        ("a: 1\n---\na: 2\n", "a", "3", "no YAML of one document"),
        ("", "a", "3", "the file is empty"),
        ("a: [1\n", "a", "3", "the file is no YAML"),
        ("[" * 100_000, "a", "3", "line 1: "),
        ("a: [" + "[" * 2000 + "]" * 2001, "a.0", "3", "nested too deeply"),
    ],
)
def test_a_yaml_value_that_cannot_be_set_alone_is_a_fault(
    text: str, key: str, value: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        set_value("c.yml", text, key, value)
    assert fault in str(told.value)


def test_aliases_that_would_unfold_into_billions_cost_nothing() -> None:
    bomb = (
        "a0: &a0 [x, x]\n"
        + "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 60))
        + "lr: 1\n"
    )
    assert set_value("c.yaml", bomb, "lr", "2") == bomb.replace("lr: 1", "lr: 2")


JSON = '{\n  "a": {"b" : [1, {"c": "x"} ], "d": null},\n\t"e.f": 1.50\n}\n'


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("a.b.0", "2", "[1,", "[2,"),
        ("a.b.1.c", '"y"', '"x"', '"y"'),
        ("a.b", "[]", '[1, {"c": "x"} ]', "[]"),
        ("a.d", "true", "null", "true"),
        ('"e.f"', "1.5", "1.50", "1.5"),
        ("a", "{}", '{"b" : [1, {"c": "x"} ], "d": null}', "{}"),
    ],
)
def test_a_json_value_is_set_and_every_other_byte_stays(key: str, value: str, old: str, new: str) -> None:
    assert JSON.count(old) == 1
    assert set_value("c.json", JSON, key, value) == JSON.replace(old, new)


TOML = """\
# lr = comment
title = "x"   # lr = 1
[training]    # table
lr = 1e-3     # keep
betas = [
  0.9, # first
  0.999,
]
opt = {name = "sgd", "m.x" = 0.9}
a.b = 1
[[layers]]
width = 64
[[layers]]
width = 32
"""


@pytest.mark.parametrize(
    ("key", "value", "old", "new"),
    [
        ("title", '"y # z"', '"x"', '"y # z"'),
        ("training.lr", "0.01", "1e-3", "0.01"),
        ("training.betas.0", "0.8", "0.9, # first", "0.8, # first"),
        ("training.opt.name", '"adam"', '"sgd"', '"adam"'),
        ('training.opt."m.x"', "1", '"m.x" = 0.9', '"m.x" = 1'),
        ("training.opt", "{}", '{name = "sgd", "m.x" = 0.9}', "{}"),
        ("training.a.b", "true", "a.b = 1", "a.b = true"),
        ("layers.1.width", "16", "width = 32", "width = 16"),
    ],
)
def test_a_toml_value_is_set_and_every_other_byte_stays(key: str, value: str, old: str, new: str) -> None:
    assert TOML.count(old) == 1
    for text in (TOML, TOML.replace("\n", "\r\n")):
        assert set_value("c.toml", text, key, value) == text.replace(old, new)


@pytest.mark.parametrize(
    ("path", "text", "key", "value", "fault"),
    [
        ("c.json", JSON, "a.x", "1", "there is no a.x; in a there are b, d"),
        ("c.json", JSON, "a.b.7", "1", "the places 0 to 1"),
        ("c.json", JSON, "a.d.e", "1", "there is no a.d.e"),
        ("c.json", JSON, "a.d", "adam", "the value 'adam' is no JSON"),
        ("c.json", JSON, "a.d", "NaN", "NaN is no JSON"),
        ("c.json", JSON, "a.d", "1, 2", "is no JSON"),
        ("c.json", '{"a": 1, "a": 2}', "a", "1", "there 2 times"),
        ("c.json", "{", "a", "1", "the file is no JSON"),
        ("c.json", "[" * 200_000, "a", "1", "nested too deeply"),
        ("c.json", "{}", "a", "1", "nothing is"),
        ("c.toml", TOML, "training.x", "1", "there is no training.x"),
        ("c.toml", TOML, "training", "1", "holds lines of its own"),
        ("c.toml", TOML, "training.lr", "adam", "is no TOML"),
        ("c.toml", TOML, "training.lr", "1 # x", ""),
        ("c.toml", "= 1", "a", "1", "the file is no TOML"),
        ("c.ini", "a = 1", "a", "1", "SET is for .yaml"),
        ("Makefile", "a = 1", "a", "1", "SET is for .yaml"),
        ("c.json", " " * (600 << 10), "a", "1", "too long for SET"),
        ("c.json", JSON, "a.d", "1" * 5000, "too long for SET"),
        ("c.json", JSON, "a.d", "1\x00", "cannot be shown"),
    ],
)
def test_a_value_that_cannot_be_set_is_a_fault(
    path: str, text: str, key: str, value: str, fault: str
) -> None:
    with pytest.raises(ValueError, match=r".") as told:
        set_value(path, text, key, value)
    assert fault in str(told.value)


NAMES = st.text("abcxyz_", min_size=1, max_size=3)
FLOATS = st.floats(-9, 9).map(lambda number: round(number, 3))
SCALARS = st.integers(-99, 99) | st.booleans() | FLOATS | st.text("ab #:'\"\\[{,é", max_size=5)
INNER = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=3),
    max_leaves=8,
)
TREES = st.dictionaries(NAMES, INNER, min_size=1, max_size=4)


def leaves(tree: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    pairs = tree.items() if isinstance(tree, dict) else enumerate(tree) if isinstance(tree, list) else ()
    found = [leaf for key, child in pairs for leaf in leaves(child, (*path, key))]
    return found or ([path] if path and not isinstance(tree, dict | list) else [])


def written(kind: str, tree: Any, flow: bool) -> str:
    if kind == "json":
        return json.dumps(tree, indent=2 if flow else None)
    if kind == "yaml":
        return yaml.safe_dump(tree, default_flow_style=flow, sort_keys=False, allow_unicode=True)
    lines = [f"{key} = {inline(value)} # {key} = 1" for key, value in tree.items()]
    return "# comment\n" + "\n".join(lines) + "\n"


def inline(value: Any) -> str:
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {inline(child)}" for key, child in value.items()) + "}"
    return (
        "[" + ", ".join(map(inline, value)) + "]"
        if isinstance(value, list)
        else json.dumps(value, ensure_ascii=False)
    )


READ: dict[str, Any] = {"json": json.loads, "yaml": yaml.safe_load, "toml": tomllib.loads}


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
@given(tree=TREES, new=SCALARS, flow=st.booleans(), data=st.data())
@settings(max_examples=30, deadline=2000)
def test_the_value_and_nothing_else_is_another_when_read_again(
    kind: str, tree: Any, new: Any, flow: bool, data: st.DataObject
) -> None:
    places = leaves(tree)
    if not places:
        return
    path = data.draw(st.sampled_from(places))
    text = written(kind, tree, flow)
    expected = copy.deepcopy(READ[kind](text))
    holder = expected
    for part in path[:-1]:
        holder = holder[part]
    holder[path[-1]] = new
    after = set_value(f"c.{kind}", text, ".".join(map(str, path)), json.dumps(new, ensure_ascii=False))
    assert repr(READ[kind](after)) == repr(expected)
    assert after.count("#") - text.count("#") == json.dumps(new).count("#") - json.dumps(
        _at(tree, path)
    ).count("#")


def _at(tree: Any, path: tuple[Any, ...]) -> Any:
    for part in path:
        tree = tree[part]
    return tree


@pytest.mark.parametrize("kind", ["json", "yaml", "toml"])
@given(
    text=st.text(st.sampled_from("ab:=[]{}\"'#\n ,.-&*!|>1é\t"), max_size=40),
    key=st.text(st.sampled_from('ab."01'), max_size=6),
    value=st.text(st.sampled_from("ab[]{}\"'# ,1:-"), max_size=6),
)
@settings(max_examples=70, deadline=2000)
def test_whatever_is_set_in_whatever_text_is_set_or_a_fault(
    kind: str, text: str, key: str, value: str
) -> None:
    try:
        after = set_value(f"c.{kind}", text, key, value)
    except ValueError as error:
        assert str(error)
    else:
        READ[kind](after)
