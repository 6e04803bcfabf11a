"""`python -m benchmarks.decisions`: every figure that the decisions must reach, beside its goal.

In full a false-abort cell has 20,000 runs; `--short` takes under a minute of CPU and shows that
nothing is broken. A cell that ran out of its time says how many runs it really had.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.decisions import (
    rows_alone,
    rows_blind,
    rows_history,
    rows_rivals,
    rows_rollouts,
    speed,
)
from benchmarks.decisions.plot import svg
from benchmarks.decisions.report import Effort, Row, Standing, as_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

GROUPS: dict[str, Callable[[Effort], Iterator[Row]]] = {
    "false_aborts": rows_alone.false_aborts,
    "clusters": rows_alone.clusters,
    "detection": rows_alone.detection,
    "late_onset": rows_alone.late_onset,
    "low_traffic": rows_alone.low_traffic,
    "promotions": rows_alone.promotions,
    "tight": rows_alone.tight,
    "several_checks": rows_alone.several_checks,
    "shared": rows_rollouts.shared,
    "outlasting": rows_rollouts.outlasting,
    "alone": rows_rollouts.alone,
    "draining": rows_rollouts.draining,
    "repairs": rows_rollouts.repairs,
    "old_quarrels": rows_rollouts.old_quarrels,
    "good_releases": rows_rollouts.good_releases,
    "worse": rows_rollouts.worse_than_stable,
    "normal": rows_history.normal,
    "blindness": rows_blind.blindness,
    "as_documented": rows_rivals.as_documented,
    "tuned": rows_rivals.tuned,
    "oracle": rows_rivals.oracle,
    "costs": speed.costs,
}
SHORT = 0.005
"""Share of the runs that `--short` does."""
HEAD = "| figure | case | came out | goal | | runs |\n| --- | --- | --- | --- | --- | --- |"


def main() -> int:
    asked = _asked()
    effort = Effort(
        share=SHORT if asked.short else asked.share,
        seconds=asked.cell_seconds,
        processes=asked.processes,
        counting=not asked.no_counting,
    )
    kept: list[Row] = []
    print(HEAD)
    for group in asked.only or GROUPS:
        for row in GROUPS[group](effort):
            kept.append(row)
            print(as_line(row), flush=True)
            if asked.into:
                asked.into.write_text(json.dumps([asdict(row) for row in kept], indent=1) + "\n")
        print(f"{time.process_time():7.0f} s of CPU after {group}", file=sys.stderr, flush=True)
    if asked.plot:
        asked.plot.write_text(_plot(effort))
    missed = [row for row in kept if row.standing is Standing.MISSED]
    counts = {standing: sum(r.standing is standing for r in kept) for standing in Standing}
    print("\n" + ", ".join(f"{number} {name or 'shown'}" for name, number in counts.items()))
    # Few runs prove nothing: the short mode fails only by an exception.
    return 1 if missed and not asked.short else 0


def _plot(effort: Effort) -> str:
    ratio = 0.05
    title = f"A release with {ratio:.0%} errors at 12.5 requests a second (bound 1%)"
    lost = math.ceil(rows_alone.ORACLE[ratio]) * ratio
    return svg(rows_rivals.curves(effort, ratio), lost, title)


def _asked() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="benchmarks.decisions", description=__doc__)
    parser.add_argument("--short", action="store_true", help="under a minute of CPU")
    parser.add_argument("--share", type=float, default=1.0, help="share of the full runs")
    parser.add_argument("--cell-seconds", type=float, help="CPU at most for each cell")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument(
        "--no-counting", action="store_true", help="false aborts by likelihood ratio alone"
    )
    parser.add_argument("--only", nargs="*", choices=sorted(GROUPS), help="groups of rows")
    parser.add_argument("--into", type=Path, help="a JSON file for the rows")
    parser.add_argument("--plot", type=Path, help="an SVG file for the curves of all methods")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
