"""The JSON Schema of SLO files, for editors: `python -m guard.config.schema` writes it.

It completes and colours; `guard check` decides (a schema cannot parse PromQL).
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

from guard.config.models import SloFile

SCHEMA_FILE: Final = Path("docs/slo-file.schema.json")


def render() -> str:
    """The schema's text, the same for the same models."""
    body = _tidied(SloFile.model_json_schema(by_alias=True, mode="validation"))
    schema = {"$schema": "https://json-schema.org/draft/2020-12/schema", **body}
    return json.dumps(schema, indent=2, ensure_ascii=False) + "\n"


def main(target: Path = SCHEMA_FILE) -> None:
    """Write the schema."""
    target.write_text(render(), encoding="utf-8")


def _tidied(node: Any) -> Any:
    """Drop what only the models mean: defaults in the core's units, and nulls (never allowed)."""
    if isinstance(node, list):
        return [_tidied(item) for item in node]
    if not isinstance(node, dict):
        return node
    kept: dict[str, Any] = {
        key: _properties(value) if key == "properties" else _tidied(value)
        for key, value in node.items()
        if key not in {"default", "title"}
    }
    options = [option for option in kept.pop("anyOf", []) if option != {"type": "null"}]
    if len(options) == 1:
        return options[0] | kept
    return kept | {"anyOf": options} if options else kept


def _properties(node: dict[str, Any]) -> dict[str, Any]:
    return {name: _tidied(value) for name, value in node.items()}


if __name__ == "__main__":
    main()
