"""Records and memories as JSON documents: what people read, and the checkpoint behind it.

A document's head is for people and for the API; `checkpoint` restores the record to the bit.
"""

from __future__ import annotations

import zlib
from base64 import b64decode, b64encode
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import ConfigDict, TypeAdapter, ValidationError

from guard.core.errors import PermanentError
from guard.core.explanations import explain
from guard.core.records import VERSION, CheckState, Memory, Record

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

T = TypeVar("T")

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
_MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)
_CHECK: TypeAdapter[CheckState] = TypeAdapter(CheckState)
# JSON knows no infinity: by default it would become null, and the record could not be read back.
_DOCUMENT: TypeAdapter[dict[str, Any]] = TypeAdapter(
    dict[str, Any], config=ConfigDict(ser_json_inf_nan="strings")
)
_TOLD: TypeAdapter[dict[str, str]] = TypeAdapter(dict[str, str])

STATED = {"kind", "check", "bound"}
"""What stands in full in a checkpoint of a check."""
MEMORY_KEY = "memory.json"
RECORD_PREFIX = "rollout-"
TOLD_KEY = "told.json"
DOCUMENTS_AT_MOST = 700_000
"""Bytes of all documents of a workload: a ConfigMap holds 1 MiB with its metadata."""


def head(record: Record) -> dict[str, Any]:
    """The record as people and the API read it."""
    # The evidence is most of a record and stays out: pages ask for many heads at once.
    dumped: dict[str, Any] = _RECORD.dump_python(record, mode="json", exclude={"checks", "frame"})
    state = dumped["state"]
    case = state["case"]
    stable = case["stable"]
    return {
        "version": record.version,
        "rollout": case["rollout"],
        "workload": case["workload"],
        "service": case["service"],
        "owner": case["owner"],
        "phase": state["phase"],
        "hold": state["hold"],
        "mode": dumped["mode"],
        "verdict": state["verdict"],
        "text": state["text"],
        "candidate": case["candidate"],
        "stable": stable["revision"] if stable else None,
        "stable_assumed": bool(stable and stable["assumed"]),
        "began_at": case["began_at"],
        "ended_at": state["ended_at"],
        "bake": case["policy"]["bake"],
        "deadline": case["policy"]["deadline"],
        "elapsed": state["elapsed"],
        "pacing": state["pacing"],
        "beside": state["beside"],
        "suspended_since": state["suspended_since"],
        "findings": _explained(record, dumped["findings"]),
        "timeline": dumped["timeline"],
        "intent": state["intent"],
        "outcome": state["outcome"],
        "rehearsal": dumped["rehearsal"],
    }


def _explained(record: Record, dumped: list[dict[str, Any]]) -> list[dict[str, Any]]:
    policy = record.state.case.policy
    explanations = [explain(finding, policy) for finding in record.findings]
    return [
        {
            **one,
            "explanation": {
                "question": answer.question,
                "lines": [asdict(line) for line in answer.lines],
                "otherwise": answer.otherwise,
            },
        }
        for one, answer in zip(dumped, explanations, strict=True)
    ]


def encode(memory: Memory, records: Iterable[Record]) -> dict[str, str]:
    """All documents of one workload, newest records first, within the size limit.

    The newest one, which may hold an intent, is never left out: where its evidence does not fit
    the evidence is, and begins anew after a restart.
    """
    documents = {MEMORY_KEY: _text(_MEMORY.dump_python(memory, mode="json"))}
    left = DOCUMENTS_AT_MOST - _bytes(documents[MEMORY_KEY])
    for record in records:
        text = _document(record)
        if _bytes(text) > left and len(documents) == 1:
            text = _document(replace(record, checks={}))
        left -= _bytes(text)
        if left < 0:
            break
        documents[_key(record)] = text
    return documents


def _bytes(text: str) -> int:
    return len(text.encode())


def _document(record: Record) -> str:
    """An ended record needs no checkpoint of its evidence any more."""
    kept = _RECORD.dump_python(record, mode="json")
    checks = {} if record.state.ended else record.checks
    kept["checks"] = {name: packed(state) for name, state in checks.items()}
    return _text({**head(record), "checkpoint": kept})


def packed(state: CheckState) -> str:
    """The evidence of one check, compressed: dozens of numbers that nobody reads.

    What was never touched is left out; the policy and what follows from it are not, since a later
    guard may have other defaults.
    """
    sparse: dict[str, Any] = _CHECK.dump_python(state, mode="json", exclude_defaults=True)
    stated: dict[str, Any] = _CHECK.dump_python(state, mode="json", include=STATED)
    return b64encode(zlib.compress(_DOCUMENT.dump_json(sparse | stated))).decode()


def _unpacked(document: dict[str, Any]) -> dict[str, Any]:
    """The checkpoint of a record, with its checks as they were before they were packed."""
    kept: dict[str, Any] = document["checkpoint"]
    checks = {
        name: _DOCUMENT.validate_json(zlib.decompress(b64decode(text, validate=True)))
        for name, text in kept["checks"].items()
    }
    return {**kept, "checks": checks}


def _text(document: dict[str, Any]) -> str:
    return _DOCUMENT.dump_json(document).decode()


def _key(record: Record) -> str:
    candidate = record.state.case.candidate
    return f"{RECORD_PREFIX}{candidate.hash}-{candidate.number}.json"


def decode(documents: Mapping[str, str]) -> tuple[Memory | None, tuple[Record, ...]]:
    """Read what `encode` wrote; records oldest first.

    Raises:
        PermanentError: a document was written by a newer guard, or is not one of ours; the text
            names which.
    """
    memory = None
    records = []
    for key, text in documents.items():
        if key == MEMORY_KEY:
            memory = _read(key, text, _MEMORY, lambda document: document)
        elif key.startswith(RECORD_PREFIX):
            records.append(_read(key, text, _RECORD, _unpacked))
    records.sort(key=lambda record: record.state.case.began_at)
    return memory, tuple(records)


def _read(key: str, text: str, kind: TypeAdapter[T], part: Callable[[dict[str, Any]], object]) -> T:
    try:
        document = _DOCUMENT.validate_json(text)
        version = document["version"]
        if isinstance(version, int) and version > VERSION:
            msg = (
                f"the stored document {key} was written by a newer guard (version {version}, this "
                f"one reads up to {VERSION}): run that guard again, or move the document away to "
                "start anew"
            )
            raise PermanentError(msg)
        return kind.validate_python(part(document))
    except (ValueError, KeyError, TypeError, zlib.error):
        msg = (
            f"the stored document {key} is none that this guard can read (version {VERSION}): "
            "move it away to start anew"
        )
        # Without its cause, which would show what the document holds.
        raise PermanentError(msg) from None


def encode_told(told: Mapping[str, str]) -> dict[str, str]:
    """What people were told once of a workload, as a document; none where that is nothing."""
    return {TOLD_KEY: _text(dict(told))} if told else {}


def decode_told(documents: Mapping[str, str]) -> dict[str, str]:
    """Read what `encode_told` wrote. What cannot be read was told to nobody."""
    try:
        return _TOLD.validate_json(documents.get(TOLD_KEY, "{}"))
    except ValidationError:
        return {}
