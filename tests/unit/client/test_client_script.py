"""What is read of a training script without running it."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orze.client.script import Kind, Script, inspect

ROOT = Path(__file__).parents[3]
HEAD = "import argparse\np = argparse.ArgumentParser()\n"


def only(argument: str):
    """The one flag that `p.add_argument(...)` makes."""
    (flag,) = inspect(f"{HEAD}p.add_argument({argument})\np.parse_args()\n").flags
    return flag


@pytest.mark.parametrize(
    ("argument", "name", "word", "kind", "default"),
    [
        ('"--lr", type=float, default=0.1', "lr", "--lr", Kind.VALUE, 0.1),
        ('"-b", "--batch-size", type=int, default=-1', "batch_size", "--batch-size", Kind.VALUE, -1),
        ('"-v"', "v", "-v", Kind.VALUE, None),
        ('"--bs", dest="batch", default=64', "batch", "--bs", Kind.VALUE, 64),
        ('"--layers", nargs="+", type=int, default=[64, 64]', "layers", "--layers", Kind.VALUES, [64, 64]),
        ('"--betas", nargs=2, default=(0.9, 0.999)', "betas", "--betas", Kind.VALUES, (0.9, 0.999)),
        ('"--tag", action="append"', "tag", "--tag", Kind.APPEND, None),
        ('"--amp", action="store_true"', "amp", "--amp", Kind.SET, False),
        ('"--no-amp", action="store_false", dest="amp"', "amp", "--no-amp", Kind.UNSET, True),
        ('"-v", "--verbose", action="count", default=0', "verbose", "--verbose", Kind.COUNT, 0),
        ('"--x", action=argparse.BooleanOptionalAction, default=True', "x", "--x", Kind.SWITCH, True),
        ('"--flip", type=bool, default=True', "flip", "--flip", Kind.TRUTH, True),
        ('"data"', "data", "", Kind.PLACE, None),
    ],
)
def test_an_argument_is_read_with_its_name_flag_kind_and_default(argument, name, word, kind, default):
    flag = only(argument)
    assert (flag.name, flag.word, flag.kind, flag.default) == (name, word, kind, default)


@pytest.mark.parametrize(
    ("argument", "required"),
    [
        ('"--data", required=True', True),
        ('"--data", required=False', False),
        ('"data"', True),
        ('"data", nargs="?"', False),
        ('"data", nargs="*"', False),
    ],
)
def test_what_a_script_cannot_start_without_is_required(argument, required):
    assert only(argument).required is required


def test_a_default_that_is_worked_out_is_not_known():
    flag = only('"--out", default=os.environ.get("OUT")')
    assert not flag.has_default
    assert flag.default is None


def test_help_is_one_line():
    assert only('"--lr", help="""the\n   step  size"""').help == "the step size"


@pytest.mark.parametrize("name", ["--output-dir", "--out_dir", "--save-dir", "--logdir"])
def test_a_flag_that_says_where_to_write_is_known(name):
    assert only(f'"{name}", default="out"').is_output
    assert not only('"--dropout", default=0.1').is_output


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("p.parse_args()", False),
        ("for name in names: p.add_argument(name)\np.parse_args()", True),
        ("p.add_argument('--lr', action=Custom)\np.parse_args()", True),
        ("p.add_argument('--version', action='version')\np.add_argument('--lr')\np.parse_args()", False),
        ("import sys\nprint(sys.argv)", True),
        ("import click", True),
        ("from absl import flags", True),
        ("from transformers import HfArgumentParser", True),
        ("print('none')", False),
    ],
)
def test_a_script_is_open_where_it_may_take_what_could_not_be_read(text, expected):
    known = "p.add_argument('--lr')\n" if "parse_args" in text else ""
    assert inspect(f"{HEAD}{known}{text}").open is expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ((ROOT / "train_idea.py").read_text(), True),
        ((ROOT / "orze/client/example.py").read_text(), True),
        ("import os\nopen(os.environ['ORZE_IDEA_CONFIG'])", True),
        ("import os\nopen(os.environ['REVIS_OUTPUT_DIR'] + '/eval.json', 'w')", True),
        (f"{HEAD}p.add_argument('--lr')\np.parse_args()\nimport os\nos.environ['REVIS_OUTPUT_DIR']", False),
        (
            f"{HEAD}p.add_argument('--lr')\np.parse_known_args()\nimport os\nos.environ['ORZE_IDEA_CONFIG']",
            True,
        ),
        (f"{HEAD}p.add_argument('--idea-id')\np.add_argument('--config')\np.parse_args()", False),
        (f"{HEAD}p.add_argument('--lr')\np.parse_args()", False),
        ("print(1)", False),
    ],
)
def test_a_script_that_the_farm_can_call_is_recognised(text, expected):
    assert inspect(text).follows_contract is expected


def test_the_shipped_adapter_is_known_by_what_it_runs():
    found = inspect((ROOT / "orze/client/adapter.py").read_text())
    assert found.runs == ("train.py",)
    assert found.follows_contract
    assert inspect("COMMAND = ['x']").runs == ()


@pytest.mark.parametrize(("text", "said"), [("x = (", "line 1"), ("\0", "null"), ("def f():\nx", "line 2")])
def test_what_is_no_python_is_told_with_its_line(text, said):
    with pytest.raises(ValueError, match=said):
        inspect(text)


def test_a_text_nested_without_end_is_a_fault_and_no_crash():
    with pytest.raises(ValueError, match=r".+"):
        inspect("(" * 100_000)


@given(st.text())
def test_any_text_is_read_or_refused(text):
    with contextlib.suppress(ValueError):
        assert isinstance(inspect(text), Script)


@given(st.lists(st.sampled_from(["'--a'", "x", "*y", "dest='q'", "**k", "type=int", "nargs=-1", "action=1"])))
def test_any_argument_is_read_or_makes_the_script_open(words):
    ordered = sorted(words, key=lambda word: ("=" in word or "**" in word, word))
    try:
        found = inspect(f"{HEAD}p.add_argument({', '.join(ordered)})")
    except ValueError:  # an argument twice is no Python
        return
    assert found.flags or found.open
