"""A lease that could let two hosts run one idea is refused, with the inequality, its numbers and its line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orze.config.load import check_lease, load_settings
from orze.config.schema import Settings
from orze.core.errors import ConfigError

BEATS = "3 × heartbeat ≤ fence"
GONE = "fence + kill < steal"
SEEN = "attribute_cache + 3 × heartbeat < steal"
LISTED = "attribute_cache + fence ≤ steal"


def load(tmp_path: Path, text: str) -> Settings:
    (tmp_path / "orze.yaml").write_text(text)
    return load_settings(None, {}, tmp_path, {})


def told(tmp_path: Path, text: str, cache: float = 0.0) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        check_lease(load(tmp_path, text), cache)
    return caught.value.problems


@pytest.mark.parametrize(
    ("text", "line", "broken"),
    [
        ("lease: {heartbeat: 30}", 1, {BEATS: "3 × 30 = 90 s against 60 s"}),
        ("poll: 5\nlease:\n  kill: 2m", 2, {GONE: "60 + 120 = 180 s against 180 s"}),
        ("lease: {steal: 75}", 1, {GONE: "60 + 15 = 75 s against 75 s"}),
        (
            "lease: {attribute_cache: 150}",
            1,
            {SEEN: "150 + 3 × 10 = 180 s against 180 s", LISTED: "150 + 60 = 210 s against 180 s"},
        ),
        ("lease: {attribute_cache: 121}", 1, {LISTED: "121 + 60 = 181 s against 180 s"}),
        (
            "poll: 5\n\norphan_timeout_hours: 0.01",
            3,
            {GONE: "60 + 15 = 75 s against 36 s", LISTED: "0 + 60 = 60 s against 36 s"},
        ),
        ("lease: {steal: 1h}\norphan_timeout_hours: 0.02", 1, {GONE: "60 + 15 = 75 s against 72 s"}),
    ],
)
def test_a_file_whose_lease_is_unsafe_is_refused_with_line_and_numbers(
    tmp_path: Path, text: str, line: int, broken: dict[str, str]
) -> None:
    problems = told(tmp_path, text)
    assert len(problems) == len(broken)
    for rule, numbers in broken.items():
        assert any(p.startswith(f"orze.yaml:{line}: lease breaks `{rule}`: {numbers}") for p in problems)
    assert ["orphan_timeout_hours" in p for p in problems] == ["orphan" in text] * len(problems)


@pytest.mark.parametrize(
    ("text", "cache", "start", "rules"),
    [
        ("", 121, "lease breaks", [LISTED]),
        ("poll: 5", 600, "lease breaks", [SEEN, LISTED]),
        ("poll: 5\nlease: {steal: 100}", 60, "orze.yaml:2: lease breaks", [LISTED]),
        ("\norphan_timeout_hours: 0.03", 60, "orze.yaml:2: lease breaks", [LISTED]),
    ],
)
def test_a_lease_that_the_mount_makes_unsafe_is_refused_with_the_mount(
    tmp_path: Path, text: str, cache: float, start: str, rules: list[str]
) -> None:
    problems = told(tmp_path, text, cache)
    assert len(problems) == len(rules)
    for problem, rule in zip(problems, rules, strict=True):
        assert problem.startswith(start)
        assert f"`{rule}`: {cache:g} + " in problem
        assert problem.endswith(f"(attribute_cache is that of the mount of {tmp_path}/results)")


@pytest.mark.parametrize("cache", [0, 60, 120])
def test_the_default_lease_is_safe_up_to_a_cache_of_two_minutes(tmp_path: Path, cache: float) -> None:
    check_lease(load(tmp_path, ""), cache)


TIMES = st.one_of(
    st.integers(1, 400), st.floats(0.1, 400, allow_nan=False).map(lambda value: round(value, 2))
)
FILES = st.fixed_dictionaries(
    {},
    optional={
        "lease": st.fixed_dictionaries(
            {}, optional=dict.fromkeys(("heartbeat", "fence", "kill", "steal", "attribute_cache"), TIMES)
        ),
        "orphan_timeout_hours": st.sampled_from([0.001, 0.01, 0.05, 0.5, 3]),
    },
)


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=FILES, mount=st.one_of(st.just(0.0), TIMES))
def test_whatever_is_accepted_keeps_every_inequality(
    tmp_path: Path, data: dict[str, Any], mount: float
) -> None:
    try:
        given_settings = load(tmp_path, yaml.safe_dump(data))
        lease = given_settings.lease
        cache = mount if lease.attribute_cache is None else lease.attribute_cache
        check_lease(given_settings, cache)
    except ConfigError as refused:
        assert all("`" in problem and " s against " in problem for problem in refused.problems)
        return
    h, f, k, s = lease.heartbeat, lease.fence, lease.kill, lease.steal
    assert 3 * h <= f
    assert f + k < s
    assert cache + 3 * h < s
    assert cache + f <= s
    if "orphan_timeout_hours" in data:
        assert s == data["orphan_timeout_hours"] * 3600
