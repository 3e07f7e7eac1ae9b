"""Three hosts under a nemesis: nothing is lost, doubled or silent; see nemesis.py and checker.py."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from machines import two_machines
from nemesis import Nemesis

pytestmark = [
    pytest.mark.skipif(bool(two_machines()), reason=two_machines() or "machines can be had"),
    pytest.mark.timeout(240),
]
SECONDS = 14.0


@pytest.fixture
def nemesis(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Nemesis]:
    """A nemesis with the seed that the test names."""
    made = Nemesis(tmp_path / "farm", request.param)
    yield made
    made.close()


@pytest.mark.parametrize("nemesis", [31, 44], indirect=True)
def test_a_farm_that_was_killed_frozen_cut_off_filled_and_scribbled_on_comes_to_rest_with_all_told(nemesis):
    nemesis.run(SECONDS)
    assert sum(nemesis.counts.values()) >= SECONDS
    assert nemesis.checker.looks
