"""The pause by availability, as JSON patches and as its marks on a Deployment tell it.

`minReadySeconds` of 68 years keeps the candidate's pods ready, serving and never available, so
that the controller itself goes no further, also while the guard is dead. Not `spec.paused`: the
controller would still scale stable pods away, and refuse a person's undo.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from guard.core.names import ANNOTATION_GO_ON, ANNOTATION_PAUSE, LABEL_PAUSED
from guard.core.workloads import GuardPause
from guard.platforms.kubernetes import operations, owners

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.core.actions import PauseIntent
    from guard.platforms.kubernetes.operations import Operation

MIN_READY: Final = 2_147_483_646
PROGRESS_DEADLINE: Final = 2_147_483_647
"""Seconds. The largest int32, which the deadline must be: larger than minReadySeconds, or the API
refuses both."""
DEFAULT_DEADLINE: Final = 600
"""Seconds: the API's default for `progressDeadlineSeconds`."""
ROLLING: Final = "RollingUpdate"
_UPDATE: Final = "/spec/strategy/rollingUpdate"

Fields = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Written:
    """What the annotation says.

    Attributes:
        revision: hash of the revision that the pause was made for.
        since: seconds since the epoch.
        previous: the fields' values before: `minReadySeconds`, `progressDeadlineSeconds`,
            `maxSurge`, `maxUnavailable`; the last two only where they were changed.
        owners: who owned these fields, see `owners`.
    """

    revision: str
    since: float
    previous: Mapping[str, Any]
    owners: tuple[Mapping[str, Any], ...] = ()

    def text(self) -> str:
        """As the annotation holds it."""
        since = datetime.fromtimestamp(self.since, UTC).isoformat(timespec="milliseconds")
        return json.dumps(
            {
                "revision": self.revision,
                "since": since,
                "previous": dict(self.previous),
                "owners": list(self.owners),
            }
        )


def read(text: str) -> Written | None:
    """Read what `Written.text` gave; None for anything else, also what a person has damaged."""
    try:
        said = json.loads(text)
        previous = {key: value for key, value in said["previous"].items() if _is_known(key, value)}
        return Written(
            revision=str(said["revision"]),
            since=datetime.fromisoformat(said["since"]).timestamp(),
            previous=previous,
            owners=owners.read(said.get("owners")),
        )
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError):
        return None


def _is_known(key: str, value: object) -> bool:
    kinds: tuple[type, ...] = (int, str) if key in _KNOWN[2:] else (int,)
    return key in _KNOWN and isinstance(value, kinds) and not isinstance(value, bool)


_KNOWN: Final = ("minReadySeconds", "progressDeadlineSeconds", "maxSurge", "maxUnavailable")


def shown(
    labels: Mapping[str, str], annotations: Mapping[str, str], min_ready: int | None
) -> tuple[GuardPause, Mapping[str, Any]] | None:
    """The pause that a Deployment's marks tell of, and what it changed; None without marks.

    An annotation of another revision is one that `kubectl rollout undo` brought back.
    """
    text = annotations.get(ANNOTATION_PAUSE, "")
    written = read(text)
    revision = labels.get(LABEL_PAUSED, "")
    in_force = bool(revision) and min_ready == MIN_READY
    if not revision and written is not None and min_ready == MIN_READY:
        # A person took the label off to let it go: what it changed is still to be put back.
        revision = written.revision
    if not revision:
        return None
    if written is None or written.revision != revision:
        return GuardPause(revision, in_force=in_force), {}
    return GuardPause(revision, written.since, in_force, text), written.previous


def of(deployment: Mapping[str, Any], recorded: str = "") -> tuple[GuardPause, Written] | None:
    """The same for an object of the API, with what a record says where its own words are lost.

    Args:
        deployment: the object.
        recorded: `GuardPause.previous` of a record; empty without one.
    """
    metadata, spec = deployment["metadata"], deployment["spec"]
    labels, annotations = metadata.get("labels") or {}, metadata.get("annotations") or {}
    found = shown(labels, annotations, spec.get("minReadySeconds"))
    if found is None:
        return None
    written = read(found[0].previous) or read(recorded)
    return found[0], written or Written(found[0].candidate, found[0].since, {})


def is_for(deployment: Mapping[str, Any], intent: PauseIntent) -> bool:
    """Whether this very candidate is held already."""
    found = of(deployment)
    return found is not None and found[0].in_force and found[0].candidate == intent.candidate.hash


def owners_of(deployment: Mapping[str, Any]) -> tuple[Mapping[str, Any], ...]:
    """Who owned what a pause changed, by the words that are still there."""
    annotations = deployment["metadata"].get("annotations") or {}
    written = read(annotations.get(ANNOTATION_PAUSE, ""))
    return written.owners if written else ()


# The patches.


def hold(deployment: Mapping[str, Any], intent: PauseIntent, now: float) -> list[Operation]:
    """Hold the rollout at the pods that it has."""
    since = max(now, intent.after)
    metadata, spec = deployment["metadata"], deployment["spec"]
    found = of(deployment, intent.previous)
    if found is not None and found[0].in_force:
        # The pause of a candidate that this one took the place of: only its name changes.
        written = Written(intent.candidate.hash, since, found[1].previous, found[1].owners)
        fields: Fields = {}
    else:
        fields = _held(spec, narrow=intent.narrow)
        # Of a pause that somebody has undone in part, what is still the guard's is not the team's.
        left = _as_it_was(spec, found[1].previous) if found is not None else {}
        previous = {key: left.get(key, _now(spec, key)) for key in fields}
        mine = owners.of(metadata.get("managedFields") or (), fields)
        if found is not None:
            mine = owners.joined(mine, found[1].owners, left)
        written = Written(intent.candidate.hash, since, previous, mine)
    annotations = {
        ANNOTATION_PAUSE: written.text(),
        ANNOTATION_GO_ON: by_hand(metadata, written.previous),
    }
    return [
        *operations.bound(metadata),
        *_set(fields),
        *operations.mark("labels", metadata, {LABEL_PAUSED: intent.candidate.hash}),
        *operations.mark("annotations", metadata, annotations),
    ]


def put_back(deployment: Mapping[str, Any], recorded: str) -> list[Operation]:
    """Put back what the pause changed and nobody else has changed since; nothing without a pause.

    The label is emptied and not removed: removing what somebody has removed meanwhile is refused.
    """
    found = of(deployment, recorded)
    if found is None:
        return []
    fields = _as_it_was(deployment["spec"], found[1].previous)
    return [*_set(fields), *operations.mark("labels", deployment["metadata"], {LABEL_PAUSED: ""})]


def tidied(deployment: Mapping[str, Any]) -> list[Operation]:
    """Take the marks off an object that is not paused any more, of this very resource version."""
    metadata = deployment["metadata"]
    if (metadata.get("labels") or {}).get(LABEL_PAUSED):
        return []
    return [
        {"op": "remove", "path": f"/metadata/{where}/{operations.escaped(name)}"}
        for where, name in _MARKS
        if name in (metadata.get(where) or {})
    ]


_MARKS: Final = (
    ("labels", LABEL_PAUSED),
    ("annotations", ANNOTATION_PAUSE),
    ("annotations", ANNOTATION_GO_ON),
)


def by_hand(metadata: Mapping[str, Any], previous: Mapping[str, Any]) -> str:
    """The one command that lets it go on by hand, and takes the marks off."""
    spec = {"minReadySeconds": 0, "progressDeadlineSeconds": DEFAULT_DEADLINE}
    spec |= {key: previous[key] for key in _KNOWN[:2] if key in previous}
    update = {key: previous[key] for key in _KNOWN[2:] if key in previous}
    patch: Fields = {"metadata": {"labels": {LABEL_PAUSED: None}}, "spec": spec}
    patch["metadata"]["annotations"] = {ANNOTATION_PAUSE: None, ANNOTATION_GO_ON: None}
    if update:
        patch["spec"]["strategy"] = {"rollingUpdate": update}
    text = json.dumps(patch, separators=(",", ":"))
    where = f"-n {metadata['namespace']} patch deployment {metadata['name']}"
    return f"kubectl {where} --type=merge -p '{text}'"


def _held(spec: Mapping[str, Any], *, narrow: bool) -> Fields:
    fields: Fields = {"minReadySeconds": MIN_READY, "progressDeadlineSeconds": PROGRESS_DEADLINE}
    # Without surge, one pod fewer is what makes room for the first one.
    if narrow and _now(spec, "maxSurge") not in (0, "0%"):
        fields |= {"maxSurge": 1, "maxUnavailable": 0}
    return fields


def _as_it_was(spec: Mapping[str, Any], previous: Mapping[str, Any]) -> Fields:
    """The previous values of those fields that still hold the guard's own."""
    held = {"maxSurge": 1, "maxUnavailable": 0}
    held |= {"minReadySeconds": MIN_READY, "progressDeadlineSeconds": PROGRESS_DEADLINE}
    known = {"minReadySeconds": 0, "progressDeadlineSeconds": DEFAULT_DEADLINE, **previous}
    if _strategy(spec) != ROLLING:
        known = {key: value for key, value in known.items() if key in _KNOWN[:2]}
    return {key: value for key, value in known.items() if _now(spec, key) == held[key]}


def _strategy(spec: Mapping[str, Any]) -> str:
    return str((spec.get("strategy") or {}).get("type") or ROLLING)


def _now(spec: Mapping[str, Any], key: str) -> Any:
    if key in _KNOWN[2:]:
        return ((spec.get("strategy") or {}).get("rollingUpdate") or {}).get(key, "25%")
    return spec.get(key) or (0 if key == "minReadySeconds" else DEFAULT_DEADLINE)


def _set(fields: Mapping[str, Any]) -> list[Operation]:
    """`add` throughout: what the API leaves out at 0 is absent."""
    return [
        {
            "op": "add",
            "path": f"{_UPDATE}/{key}" if key in _KNOWN[2:] else f"/spec/{key}",
            "value": value,
        }
        for key, value in fields.items()
    ]
