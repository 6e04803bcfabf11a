"""Records and memories as JSON documents: what people read, and the checkpoint behind it.

A document's head is for people and for the API; `checkpoint` restores the record to the bit.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from pydantic import TypeAdapter, ValidationError

from guard.core.errors import PermanentError
from guard.core.records import VERSION, Memory, Record

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

_RECORD: TypeAdapter[Record] = TypeAdapter(Record)
_MEMORY: TypeAdapter[Memory] = TypeAdapter(Memory)
_DOCUMENT: TypeAdapter[dict[str, Any]] = TypeAdapter(dict[str, Any])

MEMORY_KEY = "memory.json"
RECORD_PREFIX = "rollout-"
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
        "findings": dumped["findings"],
        "timeline": dumped["timeline"],
        "intent": state["intent"],
        "outcome": state["outcome"],
        "rehearsal": dumped["rehearsal"],
    }


def encode(memory: Memory, records: Iterable[Record]) -> dict[str, str]:
    """All documents of one workload, newest records first, within the size limit."""
    documents = {MEMORY_KEY: _MEMORY.dump_json(memory).decode()}
    left = DOCUMENTS_AT_MOST - len(documents[MEMORY_KEY])
    for record in records:
        text = _document(record)
        left -= len(text)
        if left < 0:
            break
        documents[_key(record)] = text
    return documents


def _document(record: Record) -> str:
    """An ended record needs no checkpoint of its evidence any more."""
    kept = _RECORD.dump_python(record, mode="json")
    if record.state.ended:
        kept["checks"] = {}
    document = {**head(record), "checkpoint": kept}
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
        try:
            if key == MEMORY_KEY:
                memory = _MEMORY.validate_json(text)
            elif key.startswith(RECORD_PREFIX):
                records.append(_RECORD.validate_python(_DOCUMENT.validate_json(text)["checkpoint"]))
        except (ValidationError, KeyError) as error:
            msg = (
                f"the stored document {key} cannot be read by this guard (it reads version "
                f"{VERSION}); move it away to start anew"
            )
            raise PermanentError(msg) from error
    records.sort(key=lambda record: record.state.case.began_at)
    return memory, tuple(records)
