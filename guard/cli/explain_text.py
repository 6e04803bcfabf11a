"""One rollout in plain text, for a terminal at 3 in the morning: the page's words, short lines.

Nothing is wider than `WIDTH` but what is to be pasted: queries and commands stay whole.
"""

from __future__ import annotations

import textwrap
from typing import TYPE_CHECKING, Any

from guard.core.quantities import clock, day
from guard.web.views import card

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.web.checks import Check
    from guard.web.views import Card, Revision

WIDTH = 96
"""Columns at most; terminals have 100 beside a pager's own."""
LABEL = 12
"""Columns of the labels that lines begin with."""
INDENT = "  "


def as_text(head: dict[str, Any]) -> str:
    """The whole story.

    Args:
        head: the record as `codec.head` writes it.
    """
    shown = card(head)
    blocks = [_title(shown), _facts(shown), _verdict(shown)]
    if shown.phase.todo:
        blocks.append(_todo(shown))
    blocks += [_check(check, shown.sentence) for check in shown.checks]
    blocks.append(_timeline(shown))
    return "\n\n".join("\n".join(block) for block in blocks)


def _title(shown: Card) -> list[str]:
    return [f"{shown.service}: {shown.phase.label}", *_wrapped(shown.phase.meaning, INDENT)]


def _facts(shown: Card) -> list[str]:
    kind = f"{shown.kind} {shown.workload}"
    lines = [
        ("Rollout", shown.id),
        ("Release", _revision(shown.candidate)),
        ("Known good", _known_good(shown)),
        ("Workload", f"{kind}, owned by {shown.owner}" if shown.owner else kind),
        ("Began", _times(shown)),
        ("Mode", f"{shown.mode.label}. {shown.mode.meaning}"),
        *_rollback(shown),
    ]
    return [line for label, text in lines for line in _labelled(label, text)]


def _revision(revision: Revision) -> str:
    return " ".join((revision.hash, *revision.full_images))


def _known_good(shown: Card) -> str:
    if shown.stable is None:
        return "none"
    text = _revision(shown.stable)
    return f"{text} (assumed: nobody saw it serve well)" if shown.stable_assumed else text


def _times(shown: Card) -> str:
    began = f"{day(shown.began_at)} {clock(shown.began_at)} UTC"
    if shown.ended_at is None:
        return began
    return f"{began}, ended {clock(shown.ended_at)}, took {shown.took}"


def _rollback(shown: Card) -> Iterator[tuple[str, str]]:
    if shown.intent is not None:
        text = f"to {shown.intent.label}, decided {clock(shown.intent.at)}: {shown.intent.text}"
        yield "Rollback", text
    if shown.outcome is not None:
        detail = shown.outcome.detail or shown.outcome.words.meaning
        yield (
            "Outcome",
            f"{shown.outcome.words.label} {shown.outcome.after} after the decision: {detail}",
        )
    if shown.verified is not None:
        yield "Since then", shown.verified.text


def _verdict(shown: Card) -> list[str]:
    return [
        f"Verdict: {shown.verdict.label}",
        *_wrapped(shown.sentence or "Nothing is measured yet.", INDENT),
    ]


def _todo(shown: Card) -> list[str]:
    command = [f"{INDENT}{shown.command}"] if shown.command else []
    return ["What you can do", *_wrapped(shown.phase.todo, INDENT), *command]


def _check(check: Check, said: str) -> list[str]:
    """One check; its answer is left out where the verdict's sentence says it already."""
    kind = f" ({check.kind})" if check.kind else ""
    lines = [
        f"{check.name}{kind}: {check.answer.label}, {check.reason}",
        *_wrapped(check.question, INDENT),
    ]
    if not said.startswith(check.text):
        lines += _labelled("Answer", check.text)
    for label, text in check.why:
        lines += _labelled(label, text)
    if check.otherwise:
        lines += _labelled("Otherwise", check.otherwise)
    if check.query:
        lines += [f"{INDENT}The same in Prometheus:", f"{INDENT}{check.query}"]
    return lines


def _timeline(shown: Card) -> list[str]:
    lines = ["Timeline (UTC)"]
    for entry in reversed(shown.timeline):
        begin = f"{INDENT}{clock(entry.at)}  {entry.label:<{LABEL}}"
        lines += _wrapped(entry.text, begin, " " * len(begin))
    return lines


def _labelled(label: str, text: str) -> list[str]:
    begin = f"{INDENT}{label:<{LABEL}}"
    return _wrapped(text, begin, " " * len(begin))


def _wrapped(text: str, begin: str, later: str | None = None) -> list[str]:
    return textwrap.wrap(
        text,
        WIDTH,
        initial_indent=begin,
        subsequent_indent=begin if later is None else later,
        break_long_words=False,
        break_on_hyphens=False,
    )
