"""Farms for tests: each is killed and held against docs/protocol.md when its test has ended."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from farmhouse import Farm


@pytest.fixture
def make_farm(tmp_path: Path) -> Iterator[Callable[..., Farm]]:
    """Makes farms; the arguments are the settings of orze.yaml."""
    made: list[Farm] = []

    def make(**settings: Any) -> Farm:
        made.append(Farm(tmp_path / f"it's a färm {len(made)}", **settings))
        return made[-1]

    yield make
    for farm in made:
        farm.close()
    for farm in made:
        farm.check()


@pytest.fixture
def farm(make_farm: Callable[..., Farm]) -> Farm:
    """A farm with the default settings."""
    return make_farm()
