"""The guard's exceptions. Foreign ones are mapped into this tree once, at an adapter's edge.

    GuardError
    ├── ConfigurationError   what a person wrote cannot be used
    ├── TemporaryError       try again: the other side did not answer, or not now
    └── PermanentError       trying again is of no use: refused, forbidden, gone

Expected troubles of measuring (no data, time-out, refused) are values (`samples.py`), and those
of acting too (`actions.Outcome`); exceptions are for what a caller cannot go on after.
"""

from __future__ import annotations


class GuardError(Exception):
    """Anything the guard raises on purpose. The text is safe to show: it holds no secret."""


class ConfigurationError(GuardError):
    """What a person wrote cannot be used; the text says what, where, and what to do."""


class TemporaryError(GuardError):
    """The other side did not answer, or asks to come again later."""


class PermanentError(GuardError):
    """The other side refused for good."""
