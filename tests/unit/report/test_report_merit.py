"""What is called the best: intervals that are right, and a title that luck does not win."""

import dataclasses
import math
import random
import statistics

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orze.report.merit import Config, config_of, judge, sentence_of, student, with_interval


def runs(number, *values, key="?", ascending=False):
    """A configuration whose seeds had these values; it came `number`th."""
    name = f"idea-{number:03d}" if len(values) == 1 else f"idea-{number:03d}.%d"
    known = [(number * 100 + i, i, name % i if "%" in name else name, v) for i, v in enumerate(values, 1)]
    return config_of(f"{number:016x}" if key == "?" else key, known, ascending=ascending)


BASE = runs(1, 0.960, 0.965, 0.955, 0.962, 0.958)


QUANTILES = {1: 12.7062, 2: 4.3027, 3: 3.1824, 4: 2.7764, 5: 2.5706, 6: 2.4469, 7: 2.3646, 9: 2.2622}
QUANTILES |= {10: 2.2281, 12: 2.1788, 19: 2.093, 29: 2.0452, 60: 2.0003, 120: 1.9799, 10**6: 1.96}


@pytest.mark.parametrize(("freedom", "quantile"), QUANTILES.items())
def test_the_quantile_is_that_of_the_tables(freedom, quantile):
    assert student(freedom) == pytest.approx(quantile, abs=1e-3)


@pytest.mark.parametrize(
    ("values", "half"),
    [
        ((0.5,), None),
        ((0.4, 0.6), 12.7062 * math.sqrt(0.02) / math.sqrt(2)),
        ((1.0, 2.0, 3.0), 4.3027 / math.sqrt(3)),
        ((0.7, 0.7, 0.7), 0.0),
        ((1.7e308, -1.7e308), None),
    ],
)
def test_the_interval_is_student_s_by_the_own_spread(values, half):
    found = with_interval(runs(1, *values), None)
    assert found.half == (None if half is None else pytest.approx(half, rel=1e-4, abs=1e-12))
    assert found.low is None or found.low <= found.mean <= found.high


def test_one_run_and_two_take_the_noise_of_the_base_and_three_do_not():
    noise = statistics.stdev([0.960, 0.965, 0.955, 0.962, 0.958])
    one, two, three = (with_interval(runs(2, *[0.9, 0.9, 0.93][:n]), BASE) for n in (1, 2, 3))
    assert one.half == pytest.approx(student(4) * noise)
    assert two.half == pytest.approx(student(5) * math.sqrt(4 * noise**2 / 5 / 2))
    assert three.half == pytest.approx(student(2) * statistics.stdev([0.9, 0.9, 0.93]) / math.sqrt(3))
    assert with_interval(BASE, BASE).half == pytest.approx(student(4) * noise / math.sqrt(5))


def test_results_of_one_seed_are_one_run_with_their_mean():
    found = config_of("k", [(3, 7, "c", 0.5), (1, 7, "a", 0.3), (2, 8, "b", 0.6)], ascending=True)
    assert (found.n, found.mean, found.ids, found.best) == (2, 0.5, ("a", "b", "c"), "a")
    assert config_of("k", [], ascending=True) is None


OLD, NEW = runs(1, 0.90, 0.91, 0.92), runs(2, 0.960, 0.961, 0.962)
NEAR = runs(3, 0.9611, 0.9611, 0.9612)
REPEAT = "repeat it with report.confirm or Repeats"


@pytest.mark.parametrize(
    ("configs", "how", "verdict", "sentence"),
    [
        ([], {}, "none", ""),
        ([runs(1, 0.9)], {}, "one run", f"Best so far, one run: idea-001, 0.9000; {REPEAT}"),
        (
            [runs(1, 0.9), runs(2, 0.95)],
            {},
            "one run",
            f"Best so far, one run: idea-002, 0.9500, 0.0500 ahead of idea-001; {REPEAT}",
        ),
        ([OLD], {}, "best", "Best: idea-001.1, 0.910 ± 0.025 (3 runs), the only one so far"),
        (
            [OLD, runs(2, 0.9)],
            {},
            "one run",
            (
                "Best so far, 3 runs: idea-001.1, 0.910 ± 0.025, 0.0100 ahead of idea-002; "
                "nothing else has run often enough to compare with"
            ),
        ),
        (
            [NEW, OLD],
            {},
            "best",
            "Best: idea-002.1, 0.9610 ± 0.0025 (3 runs), clears idea-001.1's 0.910 ± 0.025",
        ),
        (
            [OLD, NEW, NEAR],
            {},
            "tied",
            (
                "Tied: idea-002.1, 0.9610 ± 0.0025 (3 runs); "
                "not clearly better: idea-003.1, 0.96113 ± 0.00014 (3 runs)"
            ),
        ),
        (
            [OLD, NEW, runs(3, 0.9605, 0.9606, 0.9604)],
            {},
            "best",
            (
                "Best: idea-002.1, 0.9610 ± 0.0025 (3 runs), clears idea-001.1's 0.910 ± 0.025; "
                "1 more is not clearly worse"
            ),
        ),
        (
            [OLD, NEW, runs(3, 0.99)],
            {"confirm": 3},
            "one run",
            (
                "Best so far, one run: idea-003, 0.9900, 0.0290 ahead of idea-002.1; "
                "it takes 3 runs to confirm it; until then idea-002.1 leads, 0.9610 ± 0.0025 (3 runs)"
            ),
        ),
        (
            [BASE, runs(2, 0.98)],
            {"base": BASE, "metric": "acc"},
            "best",
            (
                "Best: idea-002, acc 0.980 ± 0.011 (one run, noise of 5 runs of the base configuration), "
                "clears idea-001.1's 0.9600 ± 0.0047"
            ),
        ),
        (
            [BASE, runs(2, 0.97), runs(3, 0.975)],
            {"base": BASE},
            "tied",
            (
                "Tied: idea-001.1, 0.9600 ± 0.0047 (5 runs); "
                "not clearly better: idea-003, 0.975 ± 0.011 (one run), idea-002, 0.970 ± 0.011 (one run)"
            ),
        ),
        (
            [runs(1, 0.9, 0.9), runs(2, 0.91, 0.91)],
            {},
            "best",
            "Best: idea-002.1, 0.9100 ± 0 (2 runs, all the same), clears idea-001.1's 0.9000 ± 0",
        ),
        (
            [runs(1, 0.9, 0.9), runs(2, 0.9, 0.9)],
            {},
            "tied",
            (
                "Tied: idea-001.1, 0.9000 ± 0 (2 runs, all the same); "
                "not clearly better: idea-002.1, 0.9000 ± 0 (2 runs)"
            ),
        ),
        (
            [OLD, runs(2, 0.7, 0.71, 0.72)],
            {"ascending": True},
            "best",
            "Best: idea-002.1, 0.710 ± 0.025 (3 runs), clears idea-001.1's 0.910 ± 0.025",
        ),
        (
            [OLD, runs(2, 0.7, 0.71, 0.72)],
            {},
            "best",
            "Best: idea-001.1, 0.910 ± 0.025 (3 runs), the first, and none did better",
        ),
    ],
)
def test_the_verdict_says_no_more_than_the_results_do(configs, how, verdict, sentence):
    found = judge(configs, **{"ascending": False, **how})
    assert (found.verdict, found.sentence) == (verdict, sentence)


def test_a_best_that_is_worse_when_it_is_confirmed_loses_the_title():
    lucky = judge([OLD, NEW, runs(3, 0.99)], ascending=False, confirm=3)
    confirmed = judge([OLD, NEW, runs(3, 0.99, 0.91, 0.92)], ascending=False, confirm=3)
    assert lucky.configs[0].name == "idea-003"
    assert (confirmed.verdict, confirmed.best.name) == ("best", "idea-002.1")


def test_a_title_names_the_idea_and_a_long_tie_is_cut():
    merit = judge([OLD, *(runs(n, 0.910, 0.912) for n in range(2, 9))], ascending=False)
    assert merit.sentence.endswith(" and 4 more")
    assert sentence_of(merit, "Wider").startswith("Tied: idea-001.1 (Wider), 0.910")


CONFIGS = st.lists(
    st.lists(st.floats(-1e300, 1e300) | st.sampled_from([0.5, 0.25]), min_size=1, max_size=4), max_size=8
)


@given(CONFIGS, st.booleans(), st.integers(0, 3), st.integers(0, 7))
@settings(max_examples=60)
def test_whatever_the_results_are_what_is_called_the_best_is_beaten_by_none(values, ascending, confirm, at):
    configs = [runs(n, *some, ascending=ascending) for n, some in enumerate(values, 1)]
    base = configs[at] if at < len(configs) and configs[at].n > 1 else None
    merit = judge(configs, ascending=ascending, base=base, confirm=confirm)
    assert (merit.verdict == "none") == (not configs)
    if merit.verdict != "best":
        return
    sign = 1 if ascending else -1
    assert all(sign * merit.best.mean <= sign * other.mean for other in merit.configs)
    assert merit.best.n >= confirm
    assert merit.tied == ()


@given(CONFIGS, st.randoms(use_true_random=False))
@settings(max_examples=40)
def test_the_order_in_which_they_are_given_says_nothing(values, shuffled):
    configs = [runs(n, *some) for n, some in enumerate(values, 1)]
    other = shuffled.sample(configs, len(configs))
    assert judge(other, ascending=False) == judge(configs, ascending=False)


def test_the_mirror_image_has_the_same_verdict():
    turned = [dataclasses.replace(c, mean=-c.mean) for c in (OLD, NEW, NEAR)]
    up, down = judge([OLD, NEW, NEAR], ascending=False), judge(turned, ascending=True)
    assert (up.verdict, up.best.name, up.old.name) == (down.verdict, down.best.name, down.old.name)


# ---- that luck is not taken for merit: samples of a fixed generator


def farm_of(luck, count, seeds, base_runs, better=0.0):
    """A base configuration and others that are as good, but for one that is better by so many deviations."""
    base = runs(1, *(luck.gauss(0, 1) for _ in range(base_runs)))
    means = [0.0] * (count - 1) + [better]
    return base, [runs(n, *(luck.gauss(m, 1) for _ in range(seeds))) for n, m in enumerate(means, 2)]


def rate(trials, **farm):
    """How often a best is declared that took the title from another."""
    luck = random.Random(5)
    told = 0
    for _ in range(trials):
        base, others = farm_of(luck, **farm)
        merit = judge([base, *others], ascending=False, base=base)
        told += merit.verdict == "best" and merit.old is not None
    return told / trials


def test_one_configuration_that_is_as_good_as_the_base_is_almost_never_called_better():
    assert rate(1000, count=1, seeds=1, base_runs=5) < 0.015
    assert rate(1000, count=1, seeds=3, base_runs=3) < 0.015


def test_among_thirty_that_are_all_as_good_luck_seldom_wins_a_title():
    assert rate(150, count=30, seeds=1, base_runs=10) / 30 < 0.01  # of each comparison
    assert rate(150, count=30, seeds=5, base_runs=5) / 30 < 0.01


def test_what_is_much_better_is_found():
    assert rate(200, count=5, seeds=1, base_runs=8, better=8.0) > 0.95
    assert rate(200, count=5, seeds=5, base_runs=5, better=5.0) > 0.95


def test_the_interval_holds_the_true_mean_in_ninety_five_of_a_hundred():
    luck = random.Random(7)
    for base_runs, seeds in ((5, 1), (5, 2), (5, 3), (1, 4)):
        held = 0
        for _ in range(1000):
            base, (other,) = farm_of(luck, 1, seeds, base_runs)
            found = with_interval(other, base)
            held += found.low <= 0 <= found.high
        assert held / 1000 == pytest.approx(0.95, abs=0.02)


def test_a_config_without_a_key_takes_noise_too():
    found = with_interval(Config("", ("idea-009",), "idea-009", 9, 1, 0.5), BASE)
    assert found.half is not None
