"""Loads LiteLLM so that it touches no network and prints nothing; never a release that must not be used."""

from __future__ import annotations

import importlib.metadata
import os
from typing import Any, Final

from orze.core.errors import OrzeError

BAD_RELEASES: Final = frozenset({"1.82.7", "1.82.8"})  # their packages on PyPI held code that stole keys
MISSING: Final = "the package litellm is missing; install it: pip install 'orze[llm]'"
_QUIET: Final = {
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # else its import fetches a list from the network
    "LITELLM_MODE": "PRODUCTION",  # else it reads any .env above
    "LITELLM_LOG": "CRITICAL",
    "LITELLM_TELEMETRY": "False",
}


class Unusable(OrzeError):
    """LiteLLM is missing, or a release that must not be used."""


def load_litellm() -> Any:
    """Import LiteLLM so that it touches no network and prints nothing.

    Raises:
        Unusable: it cannot be used; with one sentence that says what to do.
    """
    try:
        version = importlib.metadata.version("litellm")
    except importlib.metadata.PackageNotFoundError:
        raise Unusable(MISSING) from None
    if version in BAD_RELEASES:
        raise Unusable(
            f"litellm {version} is a release with code that steals keys: remove it, "
            "pip install -U 'orze[llm]', and replace the keys that were on this machine"
        )
    os.environ.update(_QUIET)
    import litellm

    litellm.suppress_debug_info = True
    litellm.telemetry = False
    litellm.drop_params = True  # what a provider does not know is left out
    return litellm
