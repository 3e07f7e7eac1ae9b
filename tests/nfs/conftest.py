"""Labs and farms on them: a farm's processes are ended when its test has."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import lab as laboratory
import pytest
from nfsfarm import FULL, STEAL, TIMES, Farm, copy_code


@pytest.fixture(scope="module")
def lab() -> Iterator[laboratory.Lab]:
    """Three clients and a server: with short caches and leases, or with those that are usual."""
    if why := laboratory.missing():
        pytest.skip(why)
    made = laboratory.Lab(3, lease=60) if FULL else laboratory.Lab(3, "actimeo=1", lease=5)
    with made:
        copy_code(made)
        yield made


@pytest.fixture
def make_farm(lab: laboratory.Lab) -> Iterator[Callable[..., Farm]]:
    """Makes farms, in quick runs with a short lease; the arguments are further settings of orze.yaml."""
    made: list[Farm] = []

    def make(**settings: Any) -> Farm:
        lease = {} if FULL else {"lease": {"heartbeat": 1, "fence": 6, "kill": 2, "steal": STEAL}}
        made.append(Farm(lab, 60.0 * TIMES, poll=1, **lease, **settings))
        return made[-1]

    yield make
    for farm in made:
        farm.close()
