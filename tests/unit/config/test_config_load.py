"""orze.yaml and flags become Settings, or every fault is told at once with its line."""

import os
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orze.config.load import load_settings
from orze.config.schema import Settings, known_keys
from orze.core.errors import ConfigError

ENVIRON = {"TOKEN": "s3cret", "LIMIT": "2h", "SLOTS": "2", "BYTES": "\udcff"}


def load(tmp_path: Path, text: str, **flags: Any) -> Settings:
    (tmp_path / "orze.yaml").write_text(text)
    return load_settings(None, flags, tmp_path, ENVIRON)


def problems(tmp_path: Path, text: str, **flags: Any) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        load(tmp_path, text, **flags)
    return caught.value.problems


REMEDY = "; raise {} or lower the others"
EXPECTED = "did not find expected ',' or ']'"
TIME = "must be a time (seconds such as 3600, or 90m, 2h, 1h30m, 1d)"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("timout: 5", "1: unknown key 'timout' — did you mean 'timeout'?"),
        ("\ntrain-script: a.py", "2: unknown key 'train-script' — did you mean 'train_script'?"),
        ("zebra: 5", "1: unknown key 'zebra' — orze.yaml.example lists them all"),
        ("heartbeat: 5", "1: unknown key 'heartbeat' — it belongs under lease"),
        ("columns: []", "1: unknown key 'columns' — it belongs under report"),
        ("gpus: 0", "1: unknown key 'gpus' — it belongs under executor or under hosts.*"),
        ("project_dir: /", "1: unknown key 'project_dir' — did you mean 'protected'?"),
        ("lease:\n  fense: 5", "2: unknown key 'fense' in lease — did you mean 'fence'?"),
        ("lease:\n  poll: 5", "2: unknown key 'poll' in lease — it belongs at the top level"),
        (
            "lease: {x: 5}",
            "1: unknown key 'x' in lease — it may hold heartbeat, fence, kill, steal, attribute_cache",
        ),
        (
            "report:\n  columns:\n  - key: a\n  - key: b\n    format: .4f",
            "5: unknown key 'format' in report.columns[1] — did you mean 'fmt'?",
        ),
        ("hosts:\n  a*:\n    gpu: 1", "3: unknown key 'gpu' in hosts.a* — did you mean 'gpus'?"),
        ('"a\\nb": 1', "1: unknown key 'a\\nb' — orze.yaml.example lists them all"),
        ("refine: {every: 1h}", "1: unknown key 'every' in refine — it belongs under notifications"),
        ("timeout: soon", f"1: timeout {TIME}, not 'soon'"),
        ("timeout: [1h]", f"1: timeout {TIME}, not a list"),
        ("timeout: -5", "1: timeout must be more than 0, not -5"),
        ("timeout: 1e+9", f"1: timeout {TIME}, not '1e+9'"),
        ("timeout: 1000000000", "1: timeout must be 315,360,000 or less, not 1000000000"),
        ("timeout: .nan", "1: timeout must be a finite number, not .nan"),
        ("timeout:", "1: timeout has no value; give it one or remove the line"),
        ("poll: ${TOKEN}", f"1: poll {TIME}, not '${{TOKEN}}'"),
        ("poll: ${NOPE}", "1: poll needs the environment variable NOPE, which is not set"),
        ("slots_per_gpu: many", "1: slots_per_gpu must be a whole number, not 'many'"),
        ("slots_per_gpu: 0", "1: slots_per_gpu must be 1 or more, not 0"),
        ("slots_per_gpu: 1.5", "1: slots_per_gpu must be a whole number, not 1.5"),
        ("stall_minutes: 5m", "1: stall_minutes must be a number, not '5m'"),
        ("doors: maybe", "1: doors must be true or false, not 'maybe'"),
        ("python: ${BYTES}", "1: python must be text in UTF-8, not '${BYTES}'"),
        ("lease: 5", "1: lease must be a block of keys, not 5"),
        ("post_scripts: a.py", "1: post_scripts must be a list, not 'a.py'"),
        ("post_scripts:\n- name: a", "2: post_scripts[0] needs the key script"),
        ("train_extra_env: [A=1]", "1: train_extra_env must be a block of keys, not a list"),
        (
            "report: {title: 2024}",
            "1: report.title must be text (in quotes where it looks like a number), not 2024",
        ),
        ("report: {title: ''}", "1: report.title must not be empty"),
        ("report: {sort: up}", "1: report.sort must be 'ascending' or 'descending', not 'up'"),
        ("train_script: 5", "1: train_script must be a path, not 5"),
        (
            "eval_output: /x",
            "1: eval_output must be a name inside the idea's directory, without '..', not '/x'",
        ),
        (
            "eval_output: metrics.json",
            "1: eval_output has a name that the farm itself writes; choose another",
        ),
        ("retry: {cuda_omm: 1}", "1: retry.cuda_omm is not a cause of failure — did you mean 'cuda_oom'?"),
        (
            "retry: {host_lost: 1}",
            "1: retry.host_lost is requeued without limit and never counted; remove it",
        ),
        ("launch: torchrun", "1: launch must hold {command}, which stands for the training command"),
        (
            "\nlease:\n  heartbeat: 30",
            "2: lease breaks `3 × heartbeat ≤ fence`: 3 × 30 = 90 s against 60 s" + REMEDY.format("fence"),
        ),
        (
            "\norphan_timeout_hours: 0.02",
            "2: lease breaks `fence + kill < steal`: 60 + 15 = 75 s against 72 s"
            + REMEDY.format("steal")
            + " (steal is orphan_timeout_hours, 0.02 h)",
        ),
        (
            "a: 1\nb: [1, 2\nc: 3\n",
            f"3: not valid YAML: {EXPECTED}, while parsing a flow sequence that begins on line 2",
        ),
    ],
)
def test_a_fault_is_one_plain_sentence_with_its_line(tmp_path: Path, text: str, told: str) -> None:
    assert problems(tmp_path, text) == [f"orze.yaml:{told}"]


def test_all_faults_are_told_at_once_in_the_order_of_the_lines(tmp_path: Path) -> None:
    text = (
        "poll: 0\ntimout: 1\npython: ${NOPE}\nlease: {fence: x}\npost_scripts: [{name: a, script: '${NO}'}]\n"
    )
    told = problems(tmp_path, text + "poll: 1", timeout="soon", results_dir="")
    assert [one.split(" ")[0] for one in told] == [
        *("--results-dir", "--timeout"),
        *(f"orze.yaml:{line}:" for line in range(1, 7)),
    ]


def test_a_flood_of_faults_is_cut_short(tmp_path: Path) -> None:
    told = problems(tmp_path, "\n".join(f"zebra{number}: 1" for number in range(500)))
    assert len(told) == 101
    assert told[-1] == "orze.yaml: and 400 more"


def test_values_of_the_environment_never_reach_a_message(tmp_path: Path) -> None:
    keys = ("timeout", "eval_output", "launch", "post_scripts", "doors", "slots_per_gpu", "hosts", "retry")
    told = problems(
        tmp_path,
        "".join(f"{key}: '../${{TOKEN}}'\n" for key in keys)
        + "eval_args: ['{${TOKEN}}']\nreport: {sort: '${TOKEN}', columns: [{key: a, fmt: '${TOKEN}'}]}\n",
    )
    assert len(told) == len(keys) + 3
    assert not any("s3cret" in one for one in told)


@pytest.mark.parametrize(
    ("flag", "told"),
    [
        ({"timeout": "soon"}, f"--timeout {TIME}, not 'soon'"),
        ({"poll": 0.0}, "--poll must be more than 0, not 0.0"),
        ({"gpus": "0,x"}, "--gpus must be cards by index or UUID such as 0,1, or cpu, or cpu:2, not '0,x'"),
        ({"ideas_file": ""}, "--ideas-md must be a path, not ''"),
    ],
)
def test_a_fault_of_a_flag_names_the_flag(tmp_path: Path, flag: dict[str, Any], told: str) -> None:
    assert problems(tmp_path, "timeout: 5", **flag) == [told]


def test_without_a_file_the_defaults_hold_and_the_working_directory_is_the_project(tmp_path: Path) -> None:
    assert load_settings(None, {}, tmp_path, {}) == Settings(project_dir=tmp_path)


def test_an_empty_file_gives_the_defaults(tmp_path: Path) -> None:
    blank = Settings(project_dir=tmp_path, config_file=tmp_path / "orze.yaml")
    assert load(tmp_path, "") == load(tmp_path, "# nothing yet\n") == blank


def test_flags_win_over_the_file_and_start_at_the_working_directory(tmp_path: Path) -> None:
    project, cwd = tmp_path / "project", tmp_path / "elsewhere"
    project.mkdir()
    cwd.mkdir()
    (project / "farm.yaml").write_text("timeout: 1h\npoll: 5\nideas_file: a.md\nresults_dir: out\n")
    flags = {"timeout": 60, "results_dir": "here", "gpus": "0"}
    there = load_settings(Path("../project/farm.yaml"), flags, cwd, {})
    assert (there.timeout, there.poll, there.gpus) == (60, 5, "0")
    assert there.results_dir == cwd / "here"
    assert os.path.samefile(there.project_dir, project)
    assert there.ideas_file == there.project_dir / "a.md"
    assert there.train_script == there.project_dir / "train_idea.py"
    assert "grace" not in there.model_fields_set
    assert "timeout" in there.model_fields_set


def test_variables_are_expanded_and_words_are_kept_as_written(tmp_path: Path) -> None:
    text = (
        "timeout: ${LIMIT}\nslots_per_gpu: ${SLOTS}\ntrain_extra_env: {KEY: '${TOKEN}', V: 1.10, ON: yes}\n"
        "train_extra_args: [--seed, 007, '$${TOKEN}']\nhosts: {a: {gpus: 1:1, train_extra_env: {W: 0x10}}}\n"
        "post_scripts: [{name: p, script: p.py, args: [1.0]}]\nlaunch: [run, 1_0, '{command}']\n"
        "pre_args: 1.50\neval_args: [no]\n"
    )
    there = load(tmp_path, text)
    assert (there.timeout, there.slots_per_gpu) == (7200, 2)
    assert there.train_extra_env == {"KEY": "s3cret", "V": "1.10", "ON": "yes"}
    assert there.train_extra_args == ("--seed", "007", "${TOKEN}")
    assert there.hosts["a"].gpus == "1:1"
    assert there.hosts["a"].train_extra_env == {"W": "0x10"}
    assert there.post_scripts[0].args == ("1.0",)
    assert there.launch == ("run", "1_0", "{command}")
    assert (there.pre_args, there.eval_args) == (("1.50",), ("no",))


def test_a_file_that_is_named_must_be_a_readable_text(tmp_path: Path) -> None:
    def told(name: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_settings(Path(name), {}, tmp_path, {})
        [one] = caught.value.problems
        return one

    (tmp_path / "large.yaml").write_bytes(b"#" * (2**20 + 1))
    (tmp_path / "latin.yaml").write_bytes(b"a: 1\nb: \xe9\n")
    os.mkfifo(tmp_path / "pipe.yaml")
    os.symlink("loop.yaml", tmp_path / "loop.yaml")
    assert told("none.yaml") == "none.yaml: no such file; give the path of your orze.yaml"
    assert told("large.yaml").startswith("large.yaml: larger than 1 MiB")
    assert told("latin.yaml").startswith("latin.yaml:2: not UTF-8")
    assert told("pipe.yaml").startswith("pipe.yaml: not a regular file")
    assert told(".").startswith(".: not a regular file")
    assert told("loop.yaml").startswith("loop.yaml: cannot be read")


def test_a_byte_order_mark_is_not_part_of_the_first_key(tmp_path: Path) -> None:
    (tmp_path / "orze.yaml").write_bytes(b"\xef\xbb\xbftimeout: 5\n")
    assert load_settings(None, {}, tmp_path, {}).timeout == 5


ODD_VALUES = [
    "",
    "~",
    "true",
    "-1",
    "0",
    "1e400",
    ".nan",
    ".inf",
    "9" * 30,
    "'\\0'",
    '"\\0"',
    '"${BYTES}"',
    "[]",
]
ODD_VALUES += [
    "[[]]",
    "[~]",
    "[1, a]",
    "{}",
    "{a: 1}",
    "{a: {b: 1}}",
    "2024-01-31",
    "x" * 70_000,
    "a: b: c",
    "' '",
]


@pytest.mark.parametrize("value", ODD_VALUES, ids=range(len(ODD_VALUES)))
def test_no_key_meets_an_odd_value_with_anything_but_plain_words(tmp_path: Path, value: str) -> None:
    for key in [*known_keys(), "retry.timeout", "train_extra_env.A"]:
        text = value
        for part in reversed(key.replace("[]", ".-").split(".")):
            text = f"[{text}]" if part == "-" else f"{{{'a' if part == '*' else part}: {text}}}"
        try:
            load(tmp_path, text)
        except ConfigError as error:
            assert all(one.isprintable() and len(one) < 300 for one in error.problems)
            assert not any("cannot be used" in one or "Input should" in one for one in error.problems)


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=8)
    | st.sampled_from(
        ["1h", "{command}", "a.json:b", ".4f", "conda:x", "../x", "${X}", "'", "0,1", "cuda_oom"]
    )
)
NAMES = st.text(max_size=5) | st.sampled_from(
    sorted({key.split(".")[-1].rstrip("[]") for key in known_keys()})
)
ANYTHING = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(NAMES, inner, max_size=4),
    max_leaves=8,
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=200)
@given(data=st.dictionaries(NAMES, ANYTHING, max_size=6))
def test_whatever_the_file_holds_is_loaded_or_told_plainly(tmp_path: Path, data: dict[str, Any]) -> None:
    try:
        load(tmp_path, yaml.safe_dump(data, allow_unicode=True))
    except ConfigError as error:
        for one in error.problems:
            assert one.startswith("orze.yaml:")
            assert "Input should" not in one
            assert "\n" not in one
