"""What must fit together in one SLO file, read from the document as it stands.

The rules read tolerantly and stay silent about what the models refuse anyway, so that one run
reports both: a deadline before its bake is named even where a check beside it is misspelt.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from guard.config.codes import Code
from guard.config.fields import period, positive_period, step
from guard.config.presets import Preset, Scope, preset
from guard.config.problems import Path, Problem, Rejected, closest, cut, listed, place, show

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.config.documents import Document
    from guard.config.quantities import Reader

_DEFAULT_BAKE: Final = "2m"
_DEFAULT_DEADLINE: Final = "15m"
_COUNTED: Final = ("error_ratio", "slow_ratio", "worse_than_stable")
_UNSUITED: Final = {"error_ratio": "latency", "slow_ratio": "ratio"}
"""The kind of indicator that a counted check cannot count by; worse than stable takes any."""
_KIND_OF: Final = {"preset": "ratio"}
"""What a kind of indicator counts by, where its own name does not say it."""
_NAMED: Final = frozenset({"health", "pods", "alerts"})


def broken(document: Document) -> Iterator[Problem]:
    """Every rule that one file breaks by itself."""
    yield from _nulls(document, document.data, ())
    yield from _kinds(document)
    yield from _clocks(document)
    yield from _pace(document)
    yield from _bounds(document)
    yield from _objectives(document)
    yield from _scopes(document)
    yield from _duplicates(document, objective_names(document), "objective")
    yield from _duplicates(document, check_names(document), "check")


def objective_names(document: Document) -> list[tuple[Path, str]]:
    """The objectives' names, with their places."""
    items = document.items("objectives")
    return _texts(((*path, "name"), _get(item, "name")) for path, item in items)


def check_names(document: Document) -> list[tuple[Path, str]]:
    """The checks' names, stated or by default, with their places."""
    return _texts(_check_name(path, kind, body) for path, kind, body in checks(document))


def checks(document: Document) -> Iterator[tuple[Path, str, dict[Any, Any]]]:
    """Each check that is written as one: its place, its kind, its keys."""
    for path, item in document.items("rollout", "checks"):
        if isinstance(item, dict):
            for kind, body in item.items():
                if isinstance(body, dict):
                    yield (*path, kind), kind, body


def workloads(document: Document) -> list[tuple[Path, str]]:
    """The workloads as `kubernetes/namespace/name`, with their places."""
    found = []
    for path, item in document.items("workloads"):
        kubernetes = _get(item, "kubernetes")
        words = (_get(kubernetes, "namespace"), _get(kubernetes, "deployment"))
        if all(isinstance(word, str) for word in words):
            found.append(((*path, "kubernetes"), f"kubernetes/{words[0]}/{words[1]}"))
    return found


def _nulls(document: Document, value: object, path: Path) -> Iterator[Problem]:
    """A key without a value is nearly always a wrong indentation, or a forgotten `{}`."""
    match value:
        case None:
            words = ("a key without a value", "a value", "write it, or {} for all defaults")
            yield document.problem(path, Code.TYPE_WRONG, words)
        case dict():
            for key, item in value.items():
                yield from _nulls(document, item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _nulls(document, item, (*path, index))


def _kinds(document: Document) -> Iterator[Problem]:
    action = "give each its own `- ` and indent its keys below"
    for list_path in (("workloads",), ("rollout", "checks")):
        for path, item in document.items(*list_path):
            yield from _kind(document, path, item, action)
    for path, item in document.items("objectives"):
        action = "keep one; a second indicator is a second objective"
        yield from _kind(document, (*path, "sli"), _get(item, "sli"), action)


def _kind(document: Document, path: Path, item: object, action: str) -> Iterator[Problem]:
    if isinstance(item, dict) and len(item) != 1:
        found = f"{len(item)} kinds in one item ({listed(map(str, item)) or 'none'})"
        yield document.problem(path, Code.KIND_COUNT, (found, "exactly one", action))


def _clocks(document: Document) -> Iterator[Problem]:
    rollout = document.at("rollout")
    if not isinstance(rollout, dict):
        return
    bake = _seconds(rollout.get("bake", _DEFAULT_BAKE), period)
    deadline = _seconds(rollout.get("deadline", _DEFAULT_DEADLINE), positive_period)
    if bake is not None and deadline is not None and deadline <= bake:
        at = ("rollout", "deadline" if "deadline" in rollout else "bake")
        found = (
            f"deadline {cut(rollout.get('deadline', _DEFAULT_DEADLINE))} "
            f"and bake {cut(rollout.get('bake', _DEFAULT_BAKE))}"
        )
        words = (found, "a deadline longer than the bake", "lengthen deadline or shorten bake")
        yield document.problem(at, Code.DEADLINE_BEFORE_BAKE, words)


def _pace(document: Document) -> Iterator[Problem]:
    """The first pods come first, and each step is more pods than the one before it."""
    least = -1.0
    for path, item in document.items("rollout", "pace"):
        try:
            share = step(item).share or 0.0
        except Rejected:
            continue
        if share <= least or least < 0.0 < share:
            words = (show(item), "first, then rising shares", "write them as [first, 25%, 50%]")
            yield document.problem(path, Code.PACE_ORDER, words)
        least = max(least, share)


def _bounds(document: Document) -> Iterator[Problem]:
    for path, kind, body in checks(document):
        if kind != "promql":
            continue
        stated = [bound for bound in ("above", "below") if bound in body]
        if not stated:
            words = ("neither above nor below", "one bound", "add above: or below:")
            yield document.problem(path, Code.BOUND_MISSING, words)
        elif len(stated) > 1:
            words = ("above and below", "one bound", "write two checks, one for each bound")
            yield document.problem((*path, "below"), Code.BOUND_TWICE, words)


def _objectives(document: Document) -> Iterator[Problem]:
    known = sorted({name for _, name in objective_names(document)})
    indicators = _indicators(document)
    for path, kind, body in checks(document):
        wanted = body.get("objective")
        if kind not in _COUNTED or not isinstance(wanted, str) or not wanted:
            continue
        if wanted not in known:
            expected = f"one of {listed(known)}" if known else "an objective of this file"
            action = closest(wanted, known) if known else "add it under objectives:"
            words = (show(wanted), expected, action)
            yield document.problem((*path, "objective"), Code.OBJECTIVE_UNKNOWN, words)
        elif kind in _UNSUITED and indicators.get(wanted) == _UNSUITED[kind]:
            found = f"{show(wanted)}, which counts by {_UNSUITED[kind]}"
            expected = "a ratio for error_ratio, a latency for slow_ratio"
            action = "name another objective, or ask the other check of it"
            where = (*path, "objective")
            yield document.problem(where, Code.OBJECTIVE_UNSUITED, (found, expected, action))


def _indicators(document: Document) -> dict[str, str]:
    """The one kind of indicator of each objective; none where that is not clear."""
    found = {}
    for _, item in document.items("objectives"):
        name, sli = _get(item, "name"), _get(item, "sli")
        if isinstance(name, str) and isinstance(sli, dict) and len(sli) == 1:
            found[name] = _KIND_OF.get(kind := str(next(iter(sli))), kind)
    return found


def _scopes(document: Document) -> Iterator[Problem]:
    """What a proxy counts for all pods tells nothing of one revision beside another."""
    whole = {
        name: found
        for _, item in document.items("objectives")
        if (found := _preset(item)) is not None
        and found.scope is Scope.WHOLE_SERVICE
        and isinstance(name := _get(item, "name"), str)
    }
    for path, kind, body in checks(document):
        wanted = body.get("objective")
        if kind not in _COUNTED or not isinstance(wanted, str) or wanted not in whole:
            continue
        found = whole[wanted]
        where = (*path, "objective")
        if kind == "worse_than_stable":
            words = (
                f"{show(wanted)}, whose preset counts the whole service in its proxy",
                "a preset that counts each pod's own requests: stable is compared by its pods",
                "name one that the pods expose, or ask error_ratio of this one",
            )
            yield document.problem(where, Code.SCOPE_UNSUPPORTED, words)
        elif kind == "error_ratio" and len(list(document.items("workloads"))) > 1:
            words = (
                f"{show(wanted)}, which counts the whole service, in a file of several workloads",
                "one workload: while another one serves too, nobody can tell whose requests failed",
                "give each workload a file of its own, or name a preset that the pods expose",
            )
            yield document.problem(where, Code.SCOPE_UNSUPPORTED, words)
        elif kind == "error_ratio" and not found.one_service:
            words = (
                f"{show(wanted)}, whose preset counts every service behind its proxy",
                f"one service: {' and '.join(map(_either, found.narrowed_by))}, with `=`",
                f"write the preset as '{found.name}{found.narrow}'",
            )
            yield document.problem(where, Code.SCOPE_UNSUPPORTED, words)


def _preset(item: object) -> Preset | None:
    try:
        return preset(_get(_get(item, "sli"), "preset"))
    except Rejected:
        return None


def _either(labels: tuple[str, ...]) -> str:
    return " or ".join(labels)


def _duplicates(document: Document, names: list[tuple[Path, str]], what: str) -> Iterator[Problem]:
    first: dict[str, Path] = {}
    for path, name in names:
        if name in first:
            found = f"the {what} name {show(name)} again (first at {place(first[name])})"
            words = (found, "unique names", "give one of them another name:")
            yield document.problem(path, Code.NAME_DUPLICATE, words)
        first.setdefault(name, path)


def _check_name(path: Path, kind: str, body: dict[Any, Any]) -> tuple[Path, Any]:
    if "name" in body:
        return (*path, "name"), body["name"]
    objective = body.get("objective")
    if kind == "worse_than_stable" and isinstance(objective, str):
        return path, against_stable(objective)
    return path, kind if kind in _NAMED else objective


def against_stable(objective: str) -> str:
    """The name of a comparison with stable that has none of its own."""
    return f"{objective} against stable"


def _texts(pairs: Iterator[tuple[Path, Any]] | Any) -> list[tuple[Path, str]]:
    """An empty one is refused by itself, and no name that others could be held against."""
    return [(path, name) for path, name in pairs if isinstance(name, str) and name]


def _get(value: object, key: str) -> Any:
    return value.get(key) if isinstance(value, dict) else None


def _seconds(value: object, read: Reader) -> float | None:
    """None of what the models refuse anyway: one mistake is one problem."""
    try:
        return read(value)
    except Rejected:
        return None
