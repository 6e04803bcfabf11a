"""deployment-guard: decides promote or abort for a rollout, and explains it with its numbers."""

from __future__ import annotations

__version__ = "0.1.0"
