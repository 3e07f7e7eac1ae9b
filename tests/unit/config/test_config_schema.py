"""The values that each key takes, what holds on one host, and the inequalities of a lease."""

import ast
import inspect
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from orze.config import outward, schema
from orze.config.lease import Lease, lease_problems
from orze.config.outward import Block
from orze.config.schema import AS_WRITTEN, Settings, known_keys
from orze.core.states import Cause


def settings(**values: Any) -> Settings:
    return Settings.model_validate({"project_dir": Path("/farm"), **values})


@pytest.mark.parametrize(
    ("key", "value", "held"),
    [
        ("timeout", "2h", 7200.0),
        ("timeout", "1h30m", 5400.0),
        ("timeout", 90, 90.0),
        ("timeout", 0.5, 0.5),
        ("poll", "45s", 45.0),
        ("grace", 0, 0.0),
        ("eval_timeout", "1d", 86400.0),
        ("stall_minutes", 1.5, 1.5),
        ("train_extra_args", ["--lr", 0.1, True, 3], ("--lr", "0.1", "true", "3")),
        ("train_extra_args", "--name 'a b' -x", ("--name", "a b", "-x")),
        ("train_extra_args", "--format {epoch}", ("--format", "{epoch}")),
        ("train_extra_env", {"A": 1, "B": False, "C": ""}, {"A": "1", "B": "false", "C": ""}),
        ("launch", "torchrun --n {gpus} {command}", ("torchrun", "--n", "{gpus}", "{command}")),
        ("eval_args", ["{idea_id}:{gpu}", "{results_dir}/x"], ("{idea_id}:{gpu}", "{results_dir}/x")),
        ("eval_args", ['{"a": {"b": 1}}', "{8}", "{}"], ('{"a": {"b": 1}}', "{8}", "{}")),
        ("launch", "sh -c 'nice {command}'", ("sh", "-c", "nice {command}")),
        ("gpus", [0, "1:1", "gpu-8f"], "0,1:1,gpu-8f"),
        ("eval_output", "./out/report.json", "out/report.json"),
        ("retry", {"cuda_oom": 2}, {Cause.CUDA_OOM: 2}),
        ("results_dir", "out", Path("/farm/out")),
        ("results_dir", "/mnt/out", Path("/mnt/out")),
        ("pre_script", "tools/prepare.py", Path("/farm/tools/prepare.py")),
        ("python", "python3.12", "python3.12"),
        ("python", "conda:a/b", "conda:a/b"),
        ("python", "~/bin/python", "~/bin/python"),
        ("python", "env/bin/python", "/farm/env/bin/python"),
        ("gpus", [0, "GPU-8f1c-22"], "0,GPU-8f1c-22"),
        ("gpus", 3, "3"),
        ("gpus", "cpu:2", "cpu:2"),
        ("gpus", "MIG-GPU-8f1c-22/1/0", "MIG-GPU-8f1c-22/1/0"),
    ],
)
def test_a_good_value_is_held_as(key: str, value: object, held: object) -> None:
    assert getattr(settings(**{key: value}), key) == held


@pytest.mark.parametrize(
    ("key", "value"),
    [
        *[("timeout", bad) for bad in (0, -1, "soon", "", float("inf"), float("nan"), True, None, [1], 1e12)],
        *[("slots_per_gpu", bad) for bad in (0, 65, 1.0, "1", True)],
        *[("gpu_mem_threshold", bad) for bad in (0, -5, 2.5)],
        *[("max_idea_failures", bad) for bad in (-1, "3", 0.5)],
        *[("orphan_timeout_hours", bad) for bad in (0, -1, "2h")],
        *[("doors", bad) for bad in (1, "yes", "true")],
        *[("launch", bad) for bad in ("torchrun", "", "{command} {idea_id}", "'{command}", [1])],
        *[("eval_args", bad) for bad in ("{idea}", ["{command}"], [None], [["a"]], {"a": 1}, "'", ["\0"])],
        *[("eval_output", bad) for bad in ("", "/etc/passwd", "../x", "a/../../x", ".", "a\nb", "\0")],
        *[("eval_output", bad) for bad in ("metrics.json", "attempts/x", "./claim.json")],
        *[("train_extra_env", bad) for bad in ({"A=B": 1}, {"": 1}, {"A": None}, {"A": [1]}, ["A"])],
        *[("train_extra_env", {bad: "0"}) for bad in ("CUDA_VISIBLE_DEVICES", "ORZE_X", "REVIS_RUN_ID")],
        *[("retry", bad) for bad in ({"tiemout": 1}, {"host_lost": 1}, {"timeout": -1}, {"timeout": True})],
        *[("gpus", bad) for bad in ("", "0,", "a", "0;1", [], True, [True], -1, "cpu:", "GPU-")],
        *[("hosts", bad) for bad in ({"": {}}, {"a": {"timeout": 1}}, {"a": None}, [])],
        *[("post_scripts", [{"name": bad, "script": "x"}]) for bad in ("", "a/b", "..", "a b")],
        ("post_scripts", [{"name": "a", "script": "x"}, {"name": "a", "script": "y"}]),
        ("cleanup", {"patterns": ["../*"]}),
        ("cleanup", {"interval": 0}),
        ("train_script", ""),
        ("python", ""),
        ("unheard_of", 1),
    ],
)
def test_a_bad_value_is_refused(key: str, value: object) -> None:
    with pytest.raises(ValidationError):
        settings(**{key: value})


@pytest.mark.parametrize("fmt", [".4f", ".2%", ".3e", "8.2f", "+.1f", ",.0f", "g", "d", ",d"])
def test_a_number_format_is_taken_and_formats_a_number(fmt: str) -> None:
    report = settings(report={"columns": [{"key": "auc", "fmt": fmt}]}).report
    assert format(25, str(report.columns[0].fmt))


@pytest.mark.parametrize(
    "fmt", ["", "{}", "s", ".2d", "{0.__class__}", ".1000f", "9999999f", "{:.4f}", ".4f ", ",n", "%s", "*<9f"]
)
def test_a_format_that_is_not_one_of_a_number_is_refused(fmt: str) -> None:
    with pytest.raises(ValidationError):
        settings(report={"columns": [{"key": "auc", "fmt": fmt}]})


@pytest.mark.parametrize(
    ("source", "good"),
    [
        ("eval_report.json:metrics.auc", True),
        ("out/eval.json:a", True),
        ("metrics.json:by_class.0", True),
        ("eval.json", False),
        ("eval.json:", False),
        ("eval.json:a..b", False),
        ("eval.txt:a", False),
        ("../eval.json:a", False),
        ("/tmp/eval.json:a", False),
        ("", False),
        (":a", False),
    ],
)
def test_a_source_is_a_json_file_of_the_idea_and_keys(source: str, *, good: bool) -> None:
    column = {"report": {"columns": [{"key": "auc", "source": source}]}}
    if good:
        assert settings(**column).report.columns[0].source == source
    else:
        with pytest.raises(ValidationError):
            settings(**column)


@given(st.text(alphabet="+-# 0159,_.efgn%d<{}", max_size=8))
def test_a_number_format_that_is_taken_writes_a_bounded_text(fmt: str) -> None:
    try:
        report = settings(report={"columns": [{"key": "auc", "fmt": fmt}]}).report
    except ValidationError:
        return
    kind = int if report.columns[0].fmt.endswith("d") else float
    assert 0 < len(format(kind(7), report.columns[0].fmt)) < 200


HOSTS = {
    "gpu-*": {"gpus": "0,1", "slots_per_gpu": 2, "train_extra_env": {"A": "any", "B": 1}},
    "gpu-b?": {"python": "env/bin/python", "train_extra_env": {"A": "b"}},
    "gpu-b1": {"gpus": [3]},
}


@pytest.mark.parametrize(
    ("host", "gpus", "slots", "python", "variables"),
    [
        ("head", None, 1, None, {"A": "base", "C": "base"}),
        ("gpu-a1", "0,1", 2, None, {"A": "any", "B": "1", "C": "base"}),
        ("gpu-b1", "3", 2, "/farm/env/bin/python", {"A": "b", "B": "1", "C": "base"}),
        ("GPU-a1", None, 1, None, {"A": "base", "C": "base"}),
    ],
)
def test_host_patterns_apply_in_their_order(
    host: str, gpus: str | None, slots: int, python: str | None, variables: dict[str, str]
) -> None:
    there = settings(hosts=HOSTS, train_extra_env={"A": "base", "C": "base"}).for_host(host)
    assert (there.gpus, there.slots_per_gpu, there.python) == (gpus, slots, python)
    assert there.train_extra_env == variables
    assert there.for_host(host) == there


def test_the_gpus_flag_wins_over_the_hosts() -> None:
    assert settings(hosts=HOSTS, gpus="7").for_host("gpu-b1").gpus == "7"


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(ValidationError):
        settings().timeout = 3.0  # type: ignore[misc]


def test_scripts_of_blocks_are_below_the_project() -> None:
    there = settings(post_scripts=[{"name": "a", "script": "a.py"}], cleanup={"script": "/opt/c.py"})
    assert there.post_scripts[0].script == Path("/farm/a.py")
    assert there.cleanup.script == Path("/opt/c.py")


def lease(h: float, f: float, k: float, s: float) -> Lease:
    return Lease(heartbeat=h, fence=f, kill=k, steal=s)


@pytest.mark.parametrize(
    ("times", "cache", "sentences"),
    [
        (lease(10, 60, 15, 180), 60, []),
        (lease(20, 60, 15, 180), 60, []),  # 3h = F
        (lease(10, 60, 15, 180), 120, []),  # C + F = S
        (lease(21, 60, 15, 180), 0, ["lease breaks `3 × heartbeat ≤ fence`: 3 × 21 = 63 s against 60 s"]),
        (lease(10, 60, 15, 75), 0, ["lease breaks `fence + kill < steal`: 60 + 15 = 75 s against 75 s"]),
        (
            lease(20, 60, 15, 120),
            60,
            ["lease breaks `attribute_cache + 3 × heartbeat < steal`: 60 + 3 × 20 = 120 s against 120 s"],
        ),
        (
            lease(10, 60, 15, 180),
            121,
            ["lease breaks `attribute_cache + fence ≤ steal`: 121 + 60 = 181 s against 180 s"],
        ),
    ],
)
def test_each_inequality_of_a_lease_is_spelt_out(times: Lease, cache: float, sentences: list[str]) -> None:
    problems = lease_problems(times, cache)
    assert len(problems) == len(sentences)
    assert all(part in problem for part, problem in zip(sentences, problems, strict=True))


def test_the_default_lease_is_safe_on_a_mount_with_the_default_cache() -> None:
    assert lease_problems(settings().lease, 60) == []


def test_orphan_timeout_hours_takes_the_place_of_steal() -> None:
    assert settings(orphan_timeout_hours=0.5).lease.steal == 1800
    assert settings(orphan_timeout_hours=2, lease={"steal": 100, "fence": 70}).lease.steal == 7200


@pytest.mark.parametrize(
    "values",
    [
        {"lease": {"heartbeat": 30}},
        {"lease": {"attribute_cache": 150}},
        {"orphan_timeout_hours": 0.01},
    ],
)
def test_settings_with_an_unsafe_lease_are_refused(values: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        settings(**values)


@pytest.mark.parametrize("module", [schema, outward])
def test_every_key_is_described_below_it(module: ModuleType) -> None:
    blocks = [node for node in ast.parse(inspect.getsource(module)).body if isinstance(node, ast.ClassDef)]
    found = 0
    for block in blocks:
        if not issubclass(getattr(module, block.name), Block):
            continue
        for key, below in zip(block.body, [*block.body[1:], None], strict=True):
            if isinstance(key, ast.AnnAssign):
                assert isinstance(below, ast.Expr), f"{block.name}.{key.target.id}"
                assert ast.literal_eval(below.value).endswith((".", ")"))
                found += 1
    assert found > 5


def test_the_default_of_every_key_is_what_settings_hold() -> None:
    keys, blank = known_keys(), Settings(project_dir=Path("/"))
    for key, doc in keys.items():
        if "." not in key:
            held = getattr(blank, key)
            assert held == (Path("/") / doc.default if isinstance(doc.default, Path) else doc.default)
    assert {key for key, doc in keys.items() if doc.required} == {
        "post_scripts[].name",
        "post_scripts[].script",
        "report.columns[].key",
        "research.price.input",
        "research.price.output",
        "refine.llm.price.input",
        "refine.llm.price.output",
        "trackers.mlflow.uri",
        "trackers.wandb.project",
        "trackers.trackio.project",
    }
    assert keys["lease.fence"].default == 60
    assert keys.keys() >= AS_WRITTEN
    assert "gpus" not in keys
    assert "hosts.*.gpus" in keys
