"""Takes out of a text what may be a key to somebody's account."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

_SECRET: Final = re.compile(r"KEY|TOKEN(?!IZ)|SECRET|PASSW|CREDENTIAL", re.IGNORECASE)
_SHORT: Final = 6  # characters of a value that a text may hold by chance
_WHO: Final = re.compile(r"(://)[^/\s@]*@")
_LIKELY: Final = re.compile(r"\b(?:sk|pk|xai|gsk|hf|AIza)[-_][\w-]{8,}|\bBearer\s+\S+", re.ASCII)


def hidden(text: str, environ: Mapping[str, str]) -> str:
    """Replace by `***` the values of variables whose names tell of a key, what looks like a key, and who is
    named before the `@` of an address.

    Args:
        text: anything.
        environ: the environment of the process that the text comes from.
    """
    return _LIKELY.sub("***", _WHO.sub(r"\1***@", without_values(text, environ)))


def without_values(text: str, environ: Mapping[str, str]) -> str:
    """Replace by `***` the values of variables whose names tell of a key, and nothing else: for code.

    Args:
        text: anything.
        environ: variables by their names.
    """
    secrets = {value for name, value in environ.items() if _SECRET.search(name) and len(value) >= _SHORT}
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "***")
    return text
