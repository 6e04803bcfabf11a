"""A local workload's template: which image its pods run, and what is wrong with that release."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, replace

from guard.core.errors import PermanentError

HASH_CHARACTERS = 10
"""As long as the hashes that Kubernetes gives to templates."""


@dataclass(frozen=True, slots=True)
class Template:
    """One version of a workload. Two that are equal are one revision.

    Attributes:
        image: what people call this version.
        error_ratio: share of users' requests that are answered with 500.
        error_cluster: failing requests come in runs of this length; their share stays the same.
        health_status: what `/health` answers.
        starts_in: seconds from a pod's creation until it listens.
        never_ready: `/ready` answers 503 for ever.
        annotations: (key, value); a change of these alone is a new revision of the same content.
    """

    image: str
    error_ratio: float = 0.0
    error_cluster: int = 1
    health_status: int = 200
    starts_in: float = 0.0
    never_ready: bool = False
    annotations: tuple[tuple[str, str], ...] = ()

    @property
    def hash(self) -> str:
        """Names the revision; pods carry it."""
        return _digest(self.text)

    @property
    def content(self) -> str:
        """The hash without the annotations (law 7)."""
        return _digest(replace(self, annotations=()).text)

    @property
    def text(self) -> str:
        """The template as one JSON document, for the store."""
        return json.dumps(asdict(self), sort_keys=True)

    @classmethod
    def read(cls, text: str) -> Template:
        """Read what `text` gave.

        Raises:
            PermanentError: it was written by another version of the guard.
        """
        try:
            document = json.loads(text)
            pairs = tuple((str(key), str(value)) for key, value in document.pop("annotations"))
            return cls(**document, annotations=pairs)
        except (ValueError, TypeError, KeyError) as error:
            message = "the stored template is not one that this guard can read"
            raise PermanentError(message) from error


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:HASH_CHARACTERS]
