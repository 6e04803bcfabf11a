"""The demo's sentences: what a rollout's record says, for someone who sees it for the first time.

A record is taken as the API gives it (`engine.codec.head`): what the demo says, everybody can read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from guard.core.lifecycle import ALL_READY

if TYPE_CHECKING:
    from collections.abc import Mapping

    from guard.cli.demo_figures import Release

Record = dict[str, Any]
MANY = 1000
"""Requests from which on it is only said that many are missing: after one early error the number
jumps, and means no more than that."""
UNTOLD = frozenset({"intent", "pause", "gone on"})
"""Entries of the timeline that another one beside them tells as well."""
PLAIN = {
    "began": "the guard sees {candidate} begin; {stable} is known good",
    "rehearsed": "the guard rehearsed the way back, in case",
    "paused": "{candidate} is held at its first pod, to be judged beside {stable}",
    "going on": "good enough at its first pod: {candidate} goes on to all",
    "verified": "the guard looked whether it worked: {text}",
}
"""Entries whose words depend on nothing else."""
OUT_OF_SCALE = 1e6
"""An E beyond this is only called larger: its digits say nothing more."""


def numbers(record: Record) -> Mapping[str, float]:
    """The numbers of the record's error ratio; empty before the first judgement."""
    for finding in record["findings"]:
        if finding["kind"] == "error_ratio":
            found: Mapping[str, float] = finding["numbers"]
            return found
    return {}


def counted(record: Record, versions: Mapping[str, str]) -> str:
    """What was counted on both sides."""
    found = numbers(record)
    if not found or not found["total"]:
        return "no user's request has reached it yet"
    text = f"{of(found['bad'], found['total'])} requests failed"
    if found["stable_total"]:
        stable = versions.get(record["stable"]["hash"], "stable")
        text += f", {stable} beside it {of(found['stable_bad'], found['stable_total'])}"
    return text


def evidence(record: Record, versions: Mapping[str, str]) -> str:
    """All of it in one line: the counts, E against its bound, and what is missing to promote."""
    found = numbers(record)
    counts = f"{versions.get(record['candidate']['hash'], '?')}: {counted(record, versions)}"
    if not found or not found["total"]:
        return counts
    return f"{counts}; {suspected(found)}; {missing(found)}"


def suspected(found: Mapping[str, float]) -> str:
    """E against its bound."""
    return f"E = {e_value(found)} ({found['bound']:.0f} decides)"


def missing(found: Mapping[str, float]) -> str:
    """What is missing until the release is proven good."""
    if found["missing"] < 0:
        return "at this ratio never good enough"
    if found["missing"] > MANY:
        return "good after very many more"
    if found["missing"] > 0:
        return f"good after {found['missing']:.0f} more"
    return "good enough"


def e_value(found: Mapping[str, float]) -> str:
    """E, without digits that say nothing."""
    value = found["e_value"]
    if value >= OUT_OF_SCALE:
        return "over a million"
    return f"{value:.2g}" if value < 10 else f"{value:,.0f}"  # noqa: PLR2004 - two digits either way


def of(bad: float, total: float) -> str:
    """`3 of 200`."""
    return f"{bad:.0f} of {total:.0f}"


def share(bad: float, total: float) -> str:
    """`3 of 200 (1.5%)`."""
    return f"{of(bad, total)} ({100.0 * bad / total:.1f}%)" if total else of(bad, total)


def told(record: Record, note: Mapping[str, Any], versions: Mapping[str, str]) -> str | None:
    """One entry of the record's timeline; None for what needs no words here."""
    kind, text = note["kind"], note["text"]
    candidate = versions.get(record["candidate"]["hash"], "?")
    stable = versions.get(record["stable"]["hash"], "?") if record["stable"] else "nothing"
    if kind in UNTOLD:
        return None
    if kind in PLAIN:
        return PLAIN[kind].format(candidate=candidate, stable=stable, text=text)
    match kind:
        case "baking" if text == ALL_READY:
            return f"every pod runs {candidate} now; watched for at least {record['bake']:.0f} s"
        case "decided":
            found = numbers(record)
            counts = counted(record, versions)
            why = f"{counts}; {suspected(found)}" if found and found["total"] else text
            return f"DECIDED to undo {candidate}: {why}"
        case "patched":
            late = 1000.0 * (note["at"] - record["intent"]["decided_at"])
            return f"the guard put {stable} back, {late:.0f} ms after it had decided"
        case "ended":
            return ended(record, candidate, stable, counted(record, versions))
    return f"{kind}: {text}" if kind != "baking" else f"the first pod of {candidate} serves: {text}"


def ended(record: Record, candidate: str, stable: str, counts: str) -> str:
    """How it ended."""
    match record["phase"]:
        case "promoted":
            return f"PROMOTED {candidate}: {counts}; good enough"
        case "rolled_back":
            return f"ROLLED BACK: {stable} serves again, it is over"
    return f"{candidate} ended {record['phase']}: {record['text']}"


def judged(record: Record) -> str:
    """The guard's answer to a good release, for the last table."""
    found = numbers(record)
    seen = f" on {found['total']:.0f} requests, {found['bad']:.0f} failed" if found else ""
    return f"{record['phase']}{seen}"


def undone(record: Record, failures: tuple[float, float] | None) -> str:
    """How fast a bad release was undone, for the last table.

    Args:
        record: the release's record.
        failures: when it failed its first and its last user.
    """
    if record["intent"] is None or failures is None:
        return str(record["phase"]).replace("_", " ")
    first, last = failures
    decided = record["intent"]["decided_at"] - first
    return (
        f"rolled back: decided {decided:.1f} s after it first failed a user, "
        f"the last time was {last - first:.1f} s after the first"
    )


def released(release: Release) -> str:
    """A release goes out."""
    return f"RELEASE: {release.version} goes out to both copies ({release.words})"
