"""Regular expressions as Prometheus reads them: RE2, anchored, and a dot is any character.

RE2 needs time in proportion to the text, whatever the expression: a pod's labels are not trusted.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import re2

from guard.config.codes import Code
from guard.config.problems import Rejected, show

_OPTIONS = re2.Options()
_OPTIONS.log_errors = False
_OPTIONS.dot_nl = True


@lru_cache(maxsize=1024)
def compiled(regex: str) -> Any:
    """The expression; `fullmatch` is how PromQL applies it.

    Raises:
        Rejected: `regex-unsupported`.
    """
    try:
        return re2.compile(regex, _OPTIONS)
    except re2.error as error:
        expected = "a regular expression that Prometheus (RE2) accepts"
        action = f"mend it: {_words(error)}"
        raise Rejected(Code.REGEX_UNSUPPORTED, show(regex), expected, action) from None


def matches(regex: str, text: str) -> bool:
    """Whether the whole text matches, as PromQL's `=~` asks."""
    return compiled(regex).fullmatch(text) is not None


def _words(error: Exception) -> str:
    why = error.args[0] if error.args else "it cannot be read"
    return why.decode("utf-8", "replace") if isinstance(why, bytes) else str(why)
