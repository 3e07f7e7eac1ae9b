"""A simulation that cannot find a planted bug proves nothing: each deliberate defect must be seen."""

import json

import pytest

from tests.model.commands import campaign
from tests.model.defects import CAUGHT_BY, DEFECTS


@pytest.fixture(scope="module")
def found():
    """What each defect's plan breaks with the defect, and without it."""
    ended = campaign("--catch")
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


@pytest.mark.parametrize("name", DEFECTS)
def test_a_planted_defect_is_caught_and_the_same_schedule_passes_without_it(name: str, found):
    assert found[name]["with"] != ""
    assert found[name]["without"] == ""


def test_every_defect_has_a_schedule_that_catches_it():
    assert CAUGHT_BY.keys() == DEFECTS.keys()
