"""What goes wrong is told once, kept in sight while it lasts, and never the end of the loop."""

from __future__ import annotations

import logging

import pytest

from orze.core.errors import GpuError
from orze.farm.problems import Problems


class Wall:
    now = 100.0

    def __call__(self) -> float:
        return self.now


def told(problems: Problems) -> list[tuple[str, float]]:
    return [(problem.text, problem.since) for problem in problems]


@pytest.mark.parametrize(
    ("error", "text"),
    [
        (OSError(5, "Input/output error"), "reading: Input/output error; it is tried again"),
        (
            FileNotFoundError(2, "No such file or directory", "/share/x"),
            "reading: No such file or directory (/share/x); it is tried again",
        ),
        (OSError("odd"), "reading: odd; it is tried again"),
        (GpuError("no card 7"), "reading: no card 7"),
        (KeyError("x"), "reading: unexpected KeyError: 'x'; please report it"),
        (RecursionError("deep"), "reading: unexpected RecursionError: deep; please report it"),
    ],
)
def test_a_fault_is_a_problem_and_no_exception(error: Exception, text: str):
    problems = Problems(Wall())
    with problems.guard("reading"):
        raise error
    assert told(problems) == [(text, 100.0)]


@pytest.mark.parametrize("end", [KeyboardInterrupt, SystemExit])
def test_an_end_of_the_process_is_not_held_up(end: type[BaseException]):
    problems = Problems(Wall())
    with pytest.raises(end), problems.guard("reading"):
        raise end
    assert told(problems) == []


def test_a_problem_is_gone_when_it_goes_well_again():
    problems = Problems(Wall())
    for fault in (True, False):
        with problems.guard("reading"):
            if fault:
                raise OSError(5, "Input/output error")
    assert told(problems) == []


def test_a_problem_that_lasts_keeps_its_time_and_is_logged_once(caplog: pytest.LogCaptureFixture):
    wall = Wall()
    problems = Problems(wall)
    for _ in range(3):
        problems.show("cards", ["GPU 1 is out of use", "GPU 2 is out of use"])
        wall.now += 10
    problems.show("cards", ["GPU 2 is out of use", "GPU 3 is out of use"])
    assert sorted(told(problems)) == [("GPU 2 is out of use", 100.0), ("GPU 3 is out of use", 130.0)]
    assert sorted(caplog.messages) == [f"GPU {n} is out of use" for n in (1, 2, 3)]


def test_sources_do_not_disturb_one_another():
    problems = Problems(Wall())
    problems.show("cards", ["a"])
    problems.show("disk", ["b"])
    problems.show("cards", [])
    assert told(problems) == [("b", 100.0)]


def test_where_it_happened_is_told_to_who_looks_for_it(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.DEBUG, "orze"), Problems(Wall()).guard("reading"):
        raise KeyError("x")
    assert any(record.exc_info for record in caplog.records)
