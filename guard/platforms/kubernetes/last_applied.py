"""What `kubectl apply` last applied: the annotation by which it knows what a manifest has dropped.

A rollback changes the template alone, so only the template's part of the annotation goes back.
Were the rest of an old manifest put back too, the next apply would remove what the team had taken
out of its manifest before: an autoscaled Deployment would fall to one replica.
"""

from __future__ import annotations

import json
from typing import Any, Final

_IDENTITY: Final = ("apiVersion", "kind")


def spliced(now: str | None, kept: str | None) -> str | None:
    """The annotation for the known-good template.

    Args:
        now: the annotation in force.
        kept: the one that was kept with the known-good template.

    Returns:
        None where there is nothing to set.
    """
    good, present = _parsed(kept), _parsed(now)
    if good is None and present is None:
        return None
    template = _template(good)
    if present is None:
        assert good is not None
        return _text(_minimal(good, template)) if template is not None else None
    wanted = _with_template(present, template)
    if wanted == good:
        return kept
    return now if wanted == present else _text(wanted)


def _parsed(text: str | None) -> dict[str, Any] | None:
    try:
        parsed = json.loads(text or "null")
    except ValueError:
        return None
    return parsed if isinstance(parsed, dict) else None


def _template(manifest: dict[str, Any] | None) -> Any:
    spec = (manifest or {}).get("spec")
    return spec.get("template") if isinstance(spec, dict) else None


def _with_template(manifest: dict[str, Any], template: Any) -> dict[str, Any]:
    before = manifest.get("spec")
    spec = dict(before) if isinstance(before, dict) else {}
    spec.pop("template", None)
    if template is not None:
        spec["template"] = template
    return {**manifest, "spec": spec} if spec or "spec" in manifest else manifest


def _minimal(good: dict[str, Any], template: Any) -> dict[str, Any]:
    """Claims the template and nothing else."""
    metadata = good.get("metadata")
    named = metadata if isinstance(metadata, dict) else {}
    kept = {key: named[key] for key in ("name", "namespace") if key in named}
    identity: dict[str, Any] = {key: good[key] for key in _IDENTITY if key in good}
    return {**identity, "metadata": kept, "spec": {"template": template}}


def _text(manifest: dict[str, Any]) -> str:
    """As kubectl writes it: compact, keys sorted, one line."""
    text = json.dumps(manifest, ensure_ascii=False, separators=(",", ":"), sort_keys=True)
    return f"{text}\n"
