"""What a test cannot do without, and how to install it."""

import importlib.util

import pytest

_EXTRAS = {"litellm": "llm"}  # the extra of pyproject.toml, where it is not called as the package


def needs(package: str) -> pytest.MarkDecorator:
    """The test is skipped where an optional package is not installed, and says how to install it."""
    how = "torch" if package == "torch" else f"'.[{_EXTRAS.get(package, package)}]'"
    missing = importlib.util.find_spec(package) is None
    return pytest.mark.skipif(missing, reason=f"{package} is not installed: pip install {how}")
