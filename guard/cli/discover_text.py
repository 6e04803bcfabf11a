"""What `guard discover` found, for people and for machines, with SLO files to begin with."""

from __future__ import annotations

import json
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from guard.config.presets import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.cli.discover import Found, Owner

EXAMPLES_AT_MOST: Final = 10
"""SLO files that are printed; a whole cluster's would bury the table."""
_SERVICE_AT_MOST: Final = 63
"""Characters of a service's name (docs/slo-file.md)."""


def as_text(found: Sequence[Found], namespaces: Sequence[str] = ()) -> str:
    """A table of what was found, and below it a file for each workload."""
    if not found:
        where = f" in {', '.join(namespaces)}" if namespaces else ""
        return (
            f"no preset's counters{where}: nothing is scraped there, or it counts under other "
            "names; write a ratio then (docs/slo-file.md)"
        )
    table = _table([_row(one) for one in found])
    files = [text for text in map(example, _first(found)) if text]
    blocks = [table, *files[:EXAMPLES_AT_MOST]]
    if len(files) > EXAMPLES_AT_MOST:
        left = len(files) - EXAMPLES_AT_MOST
        blocks.append(f"… and {left} more: name a namespace with --namespace")
    return "\n\n".join(blocks)


def as_document(found: Sequence[Found]) -> str:
    """The same for machines: `found`, and `files` by path."""
    document: dict[str, Any] = {
        "found": [_described(one) for one in found],
        "files": {_path(one.owner): text for one in _first(found) if (text := example(one))},
    }
    return json.dumps(document, indent=2, ensure_ascii=False)


def example(found: Found) -> str:
    """An SLO file that counts by what was found; empty where the guard could not judge by it."""
    owner, preset = found.owner, found.preset
    if not owner.deployment or preset.scope is not Scope.PER_REVISION:
        return ""
    assumed = "  # read off a pod's name" if owner.assumed else ""
    scrape = f"  # scrape: {preset.scrape}, unless the pods' annotations say so\n"
    return (
        f"# {_path(owner)}\n"
        "apiVersion: guard/v1\n"
        f"service: {_plain(_service(owner.workload))}\n"
        "owner: my-team  # who is told\n"
        "workloads:\n"
        f"  - kubernetes: {{namespace: {_plain(owner.namespace)}, "
        f"deployment: {_plain(owner.workload)}}}{assumed}\n"
        "objectives:\n"
        "  - name: availability\n"
        "    target: 99.9\n"
        "    window: 30d\n"
        f"    sli: {{preset: {preset.name}}}\n"
        "rollout:\n"
        f"{scrape if preset.scrape else ''}"
        "  checks:\n"
        "    - error_ratio: {objective: availability}\n"
        "    - health: {}\n"
        "    - pods: {}"
    )


def _service(workload: str) -> str:
    return workload.replace(".", "-")[:_SERVICE_AT_MOST].strip("-")


def _plain(name: str) -> str:
    """A name as YAML reads it as text: `1234` and `null` would be something else."""
    plain = name[:1].isalpha() and name not in {"null", "true", "false"}
    return name if plain else f'"{name}"'


def _first(found: Sequence[Found]) -> list[Found]:
    """Each workload's first preset that speaks of a revision, as the default policy takes it."""
    firsts = []
    for _, group in groupby(found, key=lambda one: one.owner):
        of_one = list(group)
        usable = (one for one in of_one if one.preset.scope is Scope.PER_REVISION)
        firsts.append(next(usable, of_one[0]))
    return firsts


def _path(owner: Owner) -> str:
    return f"slos/{owner.namespace}-{owner.workload}.yaml"


def _row(found: Found) -> tuple[str, ...]:
    pods = "1 pod" if found.pods == 1 else f"{found.pods} pods"
    rate = "" if found.rate is None else f"{found.rate:.3g} requests/s"
    words = (_name(found.owner), found.preset.name, found.preset.scope.value, pods, rate)
    return (*words, _note(found))


def _name(owner: Owner) -> str:
    return f"{owner.namespace}/{owner.workload}" if owner.namespace else f"job {owner.workload}"


def _note(found: Found) -> str:
    if found.preset.scope is Scope.WHOLE_SERVICE:
        return "the proxy's pods: narrow it to one service, see docs/presets.md"
    if not found.owner.namespace:
        return "no labels namespace and pod: joined by address only"
    return "" if found.owner.deployment else "no Deployment by its name"


def _table(rows: Sequence[tuple[str, ...]]) -> str:
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    )


def _described(found: Found) -> dict[str, Any]:
    owner, preset = found.owner, found.preset
    return {
        "namespace": owner.namespace,
        "workload": owner.workload,
        "deployment": owner.deployment,
        "assumed": owner.assumed,
        "preset": preset.name,
        "scope": preset.scope.value,
        "pods": found.pods,
        "requests_per_second": found.rate,
        "bad": preset.indicator.bad.text,
        "total": preset.indicator.total.text,
    }
