"""Evaluates free PromQL, and asks in the same query how old the data behind it are.

The law of this module: a value counts with the newest time of the data in it, and a value that
rests on no data (`absent(…)`, `… or vector(0)`) is none: an absent number is never zero.
"""

from __future__ import annotations

import re
from datetime import timedelta
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Final

import promql_parser as promql

from guard.core.samples import Measured, NoData, NoDataReason, Unavailable, UnavailableReason
from guard.sources.prometheus_answers import NAME
from guard.sources.prometheus_queries import alternation, quoted

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.core.policy import Promql
    from guard.core.samples import Sample
    from guard.core.workloads import Pod
    from guard.sources.prometheus_answers import Series
    from guard.sources.prometheus_client import PrometheusClient

NO_POD: Final = "no/such/pod"
"""What stands for a side without pods: no pod can have this name. (RE2 has no shorter way to match
nothing that every server's own shortcuts for regular expressions leave alone.)"""

_PART: Final = "guard_part"
_VALUE: Final = "value"
_TIME: Final = "time"
_TIMES: Final = "guard_selector"

_OPS: Final = {
    "MatchOp.Equal": "=",
    "MatchOp.NotEqual": "!=",
    "MatchOp.Re": "=~",
    "MatchOp.NotRe": "!~",
}
_PLAIN: Final = re.compile(r"[A-Za-z_:][A-Za-z0-9_:]*")
_MODIFIERS: Final = {
    "AtModifierType.Start": " @ start()",
    "AtModifierType.End": " @ end()",
}


class PrometheusExpressions:
    """Evaluates free PromQL in Prometheus. Implements `engine.ports.Expressions`."""

    def __init__(self, client: PrometheusClient) -> None:
        """Take the client to ask with; it is closed by whoever made it."""
        self._client = client

    async def evaluate(
        self, check: Promql, candidate: Sequence[Pod], stable: Sequence[Pod]
    ) -> Sample:
        """Evaluate now, one query for the value and for the newest time of its data.

        Returns:
            NO_SERIES where there is no value or no data behind it, AMBIGUOUS where there are
            several series, QUERY_REFUSED where it cannot give a number at all.
        """
        try:
            template = _template(check.expr)
        except ValueError as error:
            return Unavailable(UnavailableReason.QUERY_REFUSED, str(error).partition("\n")[0])
        query = template.replace("$candidate", _names(candidate)).replace("$stable", _names(stable))
        answer = await self._client.vector(query)
        return answer if isinstance(answer, Unavailable) else _measured(answer)


def _names(pods: Sequence[Pod]) -> str:
    return quoted(alternation(sorted({pod.name for pod in pods})) or NO_POD)


def _measured(answer: Sequence[Series]) -> Sample:
    values = [series for series in answer if series.labels.get(_PART) == _VALUE]
    times = [series for series in answer if series.labels.get(_PART) == _TIME]
    if not values:
        return NoData(NoDataReason.NO_SERIES, "the expression gives no series")
    if len(values) > 1:
        return NoData(NoDataReason.AMBIGUOUS, _ambiguous(values))
    if not times:
        return NoData(NoDataReason.NO_SERIES, "there are no data behind the expression")
    if not values[0].samples:
        return NoData(NoDataReason.NOT_A_NUMBER, "the expression gives a histogram")
    return Measured(value=values[0].samples[0][1], at=times[0].samples[0][1])


def _ambiguous(values: Sequence[Series]) -> str:
    every = {label for series in values for label in series.labels}
    differing = sorted(
        label for label in every if len({series.labels.get(label, "") for series in values}) > 1
    )
    words = ", ".join("the metric's name" if label == NAME else label for label in differing)
    return f"{len(values)} series, by {words}: aggregate them to one, for example with max(…)"


# Text.


@lru_cache(maxsize=1024)
def _template(expr: str) -> str:
    """The query for value and time, the placeholders still in it.

    Raises:
        ValueError: not PromQL, or not a number.
    """
    parsed = promql.parse(expr)
    if _is_no_number(parsed):
        message = "the expression gives a text or a range, not a number"
        raise ValueError(message)
    # On lines of its own: the expression may end with a comment.
    value = f"vector(\n{expr}\n)" if _is_scalar(parsed) else f"(\n{expr}\n)"
    return f"{_marked(value, _PART, _VALUE)} or {_marked(_newest(parsed), _PART, _TIME)}"


def _marked(text: str, label: str, mark: str) -> str:
    return f'label_replace({text}, "{label}", "{mark}", "", "")'


def _newest(parsed: Any) -> str:
    """The newest time of the samples that any selector in the expression finds."""
    selectors = sorted(set(_selectors(parsed)))
    times = (
        _marked(f"max(timestamp({selector}))", _TIMES, str(number))
        for number, selector in enumerate(selectors)
    )
    return f"max({' or '.join(times)})"


def _selectors(parsed: Any) -> list[str]:
    """The selectors anywhere in an expression, without their ranges."""
    found: list[Any] = []

    def visit(node: Any) -> None:
        if isinstance(node, promql.VectorSelector):
            found.append(node)

    promql.walk(parsed, visit)
    # A selector without a metric (the second argument of `info`) would find half the database.
    named = [node for node in found if node.name or "__name__" in str(node)]
    return [_selector(node) for node in named or found]


def _selector(node: Any) -> str:
    """A selector's text. The parser's own does not escape what stands in quotes."""
    groups = node.matchers.or_matchers or [node.matchers.matchers]
    inside = " or ".join(",".join(map(_matcher, group)) for group in groups)
    return f"{node.name or ''}{{{inside}}}{_at(node.at)}{_offset(node.offset)}"


def _matcher(raw: Any) -> str:
    label = raw.name if _PLAIN.fullmatch(raw.name) else f'"{quoted(raw.name)}"'
    return f'{label}{_OPS[str(raw.op)]}"{quoted(raw.value)}"'


def _at(modifier: Any) -> str:
    if modifier is None:
        return ""
    if modifier.at is None:
        return _MODIFIERS[str(modifier.type)]
    return f" @ {modifier.at.timestamp():.3f}"


def _offset(offset: timedelta | None) -> str:
    if not offset:
        return ""
    sign = "-" if offset < timedelta() else ""
    return f" offset {sign}{abs(offset) // timedelta(milliseconds=1)}ms"


def _is_no_number(node: Any) -> bool:
    while isinstance(node, promql.ParenExpr):
        node = node.expr
    return isinstance(node, promql.StringLiteral | promql.MatrixSelector | promql.SubqueryExpr)


def _is_scalar(node: Any) -> bool:
    match node:
        case promql.NumberLiteral():
            return True
        case promql.ParenExpr() | promql.UnaryExpr():
            return _is_scalar(node.expr)
        case promql.BinaryExpr():
            return _is_scalar(node.lhs) and _is_scalar(node.rhs)
        case promql.Call():
            return bool(node.func.return_type == promql.ValueType.Scalar)
        case _:
            return False
