"""PromQL as SLO files hold it: bare selectors, and free expressions with pod placeholders.

A bare selector is read twice by the guard: by Prometheus, and by the guard itself against the
pods' own /metrics. So only what both understand alike is let through.
"""

from __future__ import annotations

import re
from typing import Any, Final

import promql_parser as promql

from guard.config.codes import Code
from guard.config.problems import Rejected, cut, show
from guard.config.regexes import compiled
from guard.core.policy import Matcher, MatchOp, Ratio, Selector

_OPS: Final = {
    "MatchOp.Equal": MatchOp.EQUAL,
    "MatchOp.NotEqual": MatchOp.NOT_EQUAL,
    "MatchOp.Re": MatchOp.REGEX,
    "MatchOp.NotRe": MatchOp.NOT_REGEX,
}
_REGEXES: Final = frozenset({MatchOp.REGEX, MatchOp.NOT_REGEX})
_BARE: Final = """a bare selector such as http_requests_total{code=~"5.."}"""
_EXPR: Final = """an expression such as max(queue_depth{pod=~"$candidate"})"""

_HISTOGRAM: Final = "a histogram's name as http_request_duration_seconds, with matchers or without"
_MATCHERS: Final = """matchers such as {severity="page",team="identity"}"""
_SUFFIXES: Final = ("_bucket", "_count", "_sum")

_PLACEHOLDER: Final = re.compile(r"\$[A-Za-z_][A-Za-z0-9_]*")
_PLACED: Final = re.compile(r"""=~\s*(["'])\$(candidate|stable)\1""")
_OF_EXPRESSIONS: Final = re.compile(r"\$(candidate|stable)\b")
_POD: Final = "pod-of-the-guard"
_STAND_IN: Final = f'=~"{_POD}"'

_LONGEST: Final = 20_000
_LONGEST_PLAIN: Final = 2_000
"""Characters of an expression outside its quotes. The native parser recurses and has no bound of
its own: measured with promql-parser 0.12, some 8,000 of `a+a+a…` end the process."""
_WHY: Final = 160
"""Characters of the parser's own words, which can repeat the whole expression."""
_PROBES: Final = ("", *(chr(code) * 3 for code in range(0x20, 0x7F)), "GET /x-1", "é")
"""A pattern that matches each of them leaves no value of a label out."""
_QUOTED: Final = re.compile(r'"(?:\\.|[^"\\])*"|\'(?:\\.|[^\'\\])*\'|`[^`]*`', re.DOTALL)


def selector(text: object) -> Selector:
    """Parse a bare vector selector.

    Raises:
        Rejected: `selector-…`, `regex-unsupported` or `placeholder-misused`.
    """
    if not isinstance(text, str):
        raise Rejected(Code.SELECTOR_INVALID, show(text), _BARE, "write the selector in quotes")
    parsed = _parse(text, Code.SELECTOR_INVALID, _BARE)
    if not isinstance(parsed, promql.VectorSelector) or parsed.offset or parsed.at:
        action = "leave out functions, operators, [ranges], offset and @; the guard counts itself"
        raise Rejected(Code.SELECTOR_NOT_BARE, show(text), _BARE, action)
    if parsed.matchers.or_matchers:
        action = "leave out `or`; use one regular expression on one label"
        raise Rejected(Code.SELECTOR_NOT_BARE, show(text), _BARE, action)
    if not parsed.name:
        action = "write the metric's name before the braces"
        raise Rejected(Code.SELECTOR_WITHOUT_METRIC, show(text), _BARE, action)
    found = _matchers(parsed, Code.SELECTOR_INVALID, _BARE)
    return Selector(parsed.name, found, text.strip())


def histogram(text: object) -> Selector:
    """Parse the bare selector of a histogram, whose buckets the guard names itself.

    Raises:
        Rejected: `selector-…`, `regex-unsupported` or `histogram-invalid`.
    """
    found = selector(text)
    suffix = next((one for one in _SUFFIXES if found.metric.endswith(one)), "")
    if suffix:
        action = f"leave out {suffix}: the guard reads buckets and count together"
        raise Rejected(Code.HISTOGRAM_INVALID, show(text), _HISTOGRAM, action)
    if any(matcher.label == "le" for matcher in found.matchers):
        action = "leave out le: slower_than says which bucket it is"
        raise Rejected(Code.HISTOGRAM_INVALID, show(text), _HISTOGRAM, action)
    return found


def matchers(text: object) -> tuple[Matcher, ...]:
    """Parse matchers of alerts' labels; the braces may be left out.

    Raises:
        Rejected: `matchers-invalid`, `regex-unsupported` or `placeholder-misused`.
    """
    if not isinstance(text, str):
        raise Rejected(Code.MATCHERS_INVALID, show(text), _MATCHERS, "write them in quotes")
    inside = text.strip().removeprefix("{").removesuffix("}")
    parsed = _parse(f"{{{inside}}}", Code.MATCHERS_INVALID, _MATCHERS)
    if not isinstance(parsed, promql.VectorSelector) or parsed.name or parsed.matchers.or_matchers:
        action = "leave out everything but label, operator and value; no `or`"
        raise Rejected(Code.MATCHERS_INVALID, show(text), _MATCHERS, action)
    return _matchers(parsed, Code.MATCHERS_INVALID, _MATCHERS)


def paired(ratio: Ratio) -> Ratio:
    """Let a pair of selectors through in which bad requests can only be some of all.

    Raises:
        Rejected: `selectors-equal`, or `selector-not-subset`.
    """
    bad, total = ratio.bad, ratio.total
    if bad.metric != total.metric:
        return ratio
    narrow, wide = narrowing(bad), narrowing(total)
    if set(narrow) == set(wide):
        action = """narrow `bad` to the bad requests, for example with code=~"5..\""""
        expected = "a `bad` that selects less than `total`"
        same = "the same selector twice" if bad.text == total.text else "two that select the same"
        raise Rejected(Code.SELECTORS_EQUAL, same, expected, action)
    missing = [matcher for matcher in wide if matcher not in narrow]
    if missing:
        lacks = cut(", ".join(f'{m.label}{m.op}"{m.value}"' for m in missing))
        expected = "a `bad` that holds every matcher of `total`, as it has the same metric"
        found = f"a `bad` without {lacks}"
        raise Rejected(Code.SELECTOR_NOT_SUBSET, found, expected, f"add {lacks} to `bad`")
    return ratio


def narrowing(selected: Selector) -> tuple[Matcher, ...]:
    """The matchers that leave anything out.

    `code=~".*"` does not. `error_type!=""` does: OpenTelemetry adds that label to errors alone.
    """
    return tuple(matcher for matcher in selected.matchers if not _matches_all(matcher))


def _matches_all(matcher: Matcher) -> bool:
    if matcher.op is not MatchOp.REGEX:
        return False
    pattern = compiled(matcher.value)
    return all(pattern.fullmatch(probe) for probe in _PROBES)


def expression(text: object) -> str:
    """Parse a free PromQL expression with `$candidate` and `$stable` as values of `=~`.

    Raises:
        Rejected: `promql-invalid`, `promql-without-selector` or `placeholder-misused`.
    """
    if not isinstance(text, str):
        raise Rejected(Code.PROMQL_INVALID, show(text), _EXPR, "write the expression in quotes")
    plain = _PLACED.sub(_STAND_IN, text)
    left = _PLACEHOLDER.search(plain)
    if left:
        action = 'write pod=~"$candidate" or pod=~"$stable", the placeholder alone in its quotes'
        raise Rejected(Code.PLACEHOLDER_MISUSED, left.group(), _EXPR, action)
    parsed = _parse(plain, Code.PROMQL_INVALID, _EXPR, text)
    inner = parsed
    while isinstance(inner, promql.ParenExpr):
        inner = inner.expr
    if isinstance(inner, promql.MatrixSelector | promql.SubqueryExpr | promql.StringLiteral):
        action = "wrap it so that one number comes out, for example max(…)"
        raise Rejected(Code.PROMQL_INVALID, "a range or a text", _EXPR, action)
    if not has_selector(parsed):
        action = "select a metric: without data of its own nothing says how old the answer is"
        raise Rejected(Code.PROMQL_WITHOUT_SELECTOR, show(text), _EXPR, action)
    return text.strip()


def has_selector(expr: Any) -> bool:
    """Whether any series is selected anywhere in a parsed expression."""
    left = [expr]
    while left:
        part = left.pop()
        if isinstance(part, promql.VectorSelector | promql.MatrixSelector):
            return True
        inside = [getattr(part, name, None) for name in ("expr", "lhs", "rhs", "param")]
        left += [one for one in [*inside, *getattr(part, "args", ())] if one]
    return False


def _parse(text: str, code: Code, expected: str, written: str | None = None) -> Any:
    """Parse `text`; `written` is what the person wrote, where the guard put something else in."""
    plain = len(_QUOTED.sub("", text))
    if len(text) > _LONGEST or plain > _LONGEST_PLAIN:
        found = f"{len(text)} characters, {plain} of them outside quotes"
        most = f"at most {_LONGEST} characters, {_LONGEST_PLAIN} of them outside quotes"
        raise Rejected(code, found, most, "split it, or make it a recording rule")
    try:
        return promql.parse(text)
    except ValueError as error:
        why = (str(error).splitlines() or ["it cannot be parsed"])[0]
        action = f"mend it: {why.replace(_POD, '$candidate')[:_WHY]}"
        raise Rejected(code, show(written or text), expected, action) from None


def _matchers(parsed: Any, code: Code, expected: str) -> tuple[Matcher, ...]:
    """The matchers of a parsed selector, which can hold of one series together."""
    equal: dict[str, str] = {}
    found = tuple(_matcher(raw) for raw in parsed.matchers.matchers)
    for matcher in found:
        placed = _OF_EXPRESSIONS.search(matcher.value)
        if placed:
            action = "leave it out: the guard itself counts by the candidate's own pods"
            raise Rejected(Code.PLACEHOLDER_MISUSED, placed.group(), expected, action)
        if matcher.op is MatchOp.EQUAL:
            first = equal.setdefault(matcher.label, matcher.value)
            if first != matcher.value:
                shown = f"{cut(matcher.label)} equal to {show(first)} and to {show(matcher.value)}"
                action = "keep one; either of two values is one regular expression: =~"
                raise Rejected(code, shown, expected, f'{action}"a|b"')
    return found


def _matcher(raw: Any) -> Matcher:
    op = _OPS[str(raw.op)]
    if op in _REGEXES:
        compiled(raw.value)
    return Matcher(raw.name, op, raw.value)
