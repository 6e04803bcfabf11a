"""PromQL in SLO files: bare selectors and free expressions."""

from __future__ import annotations

import pytest

from guard.config.codes import Code
from guard.config.problems import Rejected
from guard.config.selectors import expression, histogram, matchers, paired, selector
from guard.core.policy import Matcher, MatchOp, Ratio


def refused(text: object) -> Code:
    with pytest.raises(Rejected) as caught:
        selector(text)
    return caught.value.code


def test_a_bare_selector_keeps_its_text_and_all_four_kinds_of_matchers() -> None:
    text = 'x:y_total{a="1",b!="2",c=~"5..",d!~"[0-9]+"}'
    parsed = selector(f"  {text} ")
    assert parsed.text == text
    assert parsed.metric == "x:y_total"
    assert parsed.matchers == (
        Matcher("a", MatchOp.EQUAL, "1"),
        Matcher("b", MatchOp.NOT_EQUAL, "2"),
        Matcher("c", MatchOp.REGEX, "5.."),
        Matcher("d", MatchOp.NOT_REGEX, "[0-9]+"),
    )


@pytest.mark.parametrize(
    "text",
    [
        "rate(x[5m])",
        "x[5m]",
        "x offset 5m",
        "x @ end()",
        "(x)",
        "x + y",
        "-x",
        "1",
        'x{a="1" or b="2"}',
    ],
)
def test_a_selector_that_is_not_bare_is_refused(text: str) -> None:
    assert refused(text) is Code.SELECTOR_NOT_BARE


def test_a_selector_without_metric_or_syntax_is_refused() -> None:
    assert refused('{a="b"}') is Code.SELECTOR_WITHOUT_METRIC
    assert refused("") is Code.SELECTOR_INVALID
    assert refused(5) is Code.SELECTOR_INVALID
    assert refused('x{a=~"("}') is Code.SELECTOR_INVALID


@pytest.mark.parametrize("regex", ["a++", "x{1001}"])
def test_a_regular_expression_that_prometheus_does_not_know_is_refused(regex: str) -> None:
    """The parser at hand knows more than RE2."""
    assert refused(f'x{{a=~"{regex}"}}') is Code.REGEX_UNSUPPORTED


@pytest.mark.parametrize("regex", ["[[:digit:]]+", "\\\\d+z", "(?i)X", "\\\\p{Greek}"])
def test_a_regular_expression_of_re2s_own_is_taken(regex: str) -> None:
    assert selector(f'x{{a=~"{regex}"}}').matchers


def test_bad_of_another_metric_needs_no_matchers_of_total() -> None:
    ratio = Ratio(selector("errors_total"), selector('requests_total{route="/"}'))
    assert paired(ratio) is ratio


def test_bad_holds_every_matcher_of_a_total_of_the_same_metric_in_any_order() -> None:
    ratio = Ratio(selector('x{code=~"5..",job="a"}'), selector('x{job="a"}'))
    assert paired(ratio) is ratio


def test_an_expression_keeps_its_placeholders() -> None:
    text = "max(q{pod=~\"$candidate\"}) / max(q{pod=~'$stable'}) > bool 1"
    assert expression(f" {text}\n") == text


@pytest.mark.parametrize(
    "text",
    [
        "x",
        "sum by (a) (rate(x[5m]))",
        "1 - x",
        "-x",
        "max_over_time(rate(x[1m])[5m:])",
        "topk(scalar(x), vector(1))",
        'x{code=~"5..$"}',
    ],
)
def test_an_expression_that_selects_series_anywhere_is_accepted(text: str) -> None:
    assert expression(text) == text


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("max(", Code.PROMQL_INVALID),
        ("rate(x)", Code.PROMQL_INVALID),
        ("x[5m]", Code.PROMQL_INVALID),
        ("(x[5m])", Code.PROMQL_INVALID),
        ("x[5m:1m]", Code.PROMQL_INVALID),
        ('"text"', Code.PROMQL_INVALID),
        (7, Code.PROMQL_INVALID),
        ("time()", Code.PROMQL_WITHOUT_SELECTOR),
        ("1 + 1", Code.PROMQL_WITHOUT_SELECTOR),
        ('x{pod="$candidate"}', Code.PLACEHOLDER_MISUSED),
        ('x{pod=~"a|$candidate"}', Code.PLACEHOLDER_MISUSED),
        ('x{pod=~"$canary"}', Code.PLACEHOLDER_MISUSED),
        ("rate(x[$__rate_interval])", Code.PLACEHOLDER_MISUSED),
    ],
)
def test_an_expression_that_cannot_be_used_is_refused(text: object, code: Code) -> None:
    with pytest.raises(Rejected) as caught:
        expression(text)
    assert caught.value.code is code


@pytest.mark.parametrize(
    "text",
    ["-" * 10_000 + "a", "a" + "+a" * 9_000, "(" * 10_000 + "a" + ")" * 10_000, 'a{b="' * 9_000],
)
def test_what_would_exhaust_the_parser_is_refused_before_it_is_parsed(text: str) -> None:
    """Unbounded, the native parser ends the whole process."""
    for read in (selector, expression, histogram, matchers):
        with pytest.raises(Rejected, match="at most 20000 characters, 2000 of them outside"):
            read(text)


def test_what_just_fits_is_parsed() -> None:
    assert expression("a" + "+a" * 999)
    assert expression("-" * 1_999 + "a")
    assert selector('a{b=~"' + "x|" * 9_000 + '"}')


def test_a_long_quoted_text_without_its_end_is_not_taken_for_quoted() -> None:
    with pytest.raises(Rejected, match="at most 20000"):
        expression('a{b="' + "-" * 3_000)


def test_a_message_shows_the_placeholder_that_was_written() -> None:
    with pytest.raises(Rejected) as caught:
        expression('foo{pod=~"$candidate"} bar{pod=~"$candidate"}')
    assert "pod-of-the-guard" not in str(caught.value)
    assert "$candidate" in caught.value.found


def test_the_parsers_own_words_are_cut() -> None:
    with pytest.raises(Rejected) as caught:
        selector('a{b=~"' + "(" * 5_000 + '"}')
    assert len(caught.value.action) < 200


@pytest.mark.parametrize(
    ("bad", "total"),
    [
        ("x", "x"),
        ('x{code=~".*"}', "x"),
        ('x{code=~"(.*|5..)"}', "x"),
        ('x{code=~"|.+"}', "x"),
        ('x{code=~"^.*$",job="a"}', 'x{job="a"}'),
        ('x{job="a"}', 'x{job="a",code=~".*"}'),
    ],
)
def test_bad_that_leaves_nothing_of_total_out_is_refused(bad: str, total: str) -> None:
    with pytest.raises(Rejected) as caught:
        paired(Ratio(selector(bad), selector(total)))
    assert caught.value.code is Code.SELECTORS_EQUAL


@pytest.mark.parametrize(
    "bad",
    ['x{error_type!=""}', 'x{error_type=~".+"}', 'x{code!~"2.."}', 'x{code=~"[^2].*"}'],
)
def test_bad_may_be_told_by_a_label_that_good_requests_lack(bad: str) -> None:
    ratio = Ratio(selector(bad), selector("x"))
    assert paired(ratio) is ratio


def test_a_matcher_of_total_that_leaves_nothing_out_is_not_asked_of_bad() -> None:
    ratio = Ratio(selector('x{code=~"5.."}'), selector('x{code=~".*"}'))
    assert paired(ratio) is ratio


@pytest.mark.parametrize("word", ["$candidate", "$stable"])
def test_a_placeholder_of_expressions_is_refused_in_a_selector_and_in_matchers(word: str) -> None:
    for read, text in ((selector, f'x{{pod=~"{word}"}}'), (matchers, f'{{pod="{word}"}}')):
        with pytest.raises(Rejected) as caught:
            read(text)
        assert (caught.value.code, caught.value.found) == (Code.PLACEHOLDER_MISUSED, word)


def test_one_label_has_one_value() -> None:
    assert refused('x{a="1",a="2"}') is Code.SELECTOR_INVALID
    with pytest.raises(Rejected, match="a equal to '1' and to '2'") as caught:
        matchers('a="1",a="2"')
    assert caught.value.code is Code.MATCHERS_INVALID
    assert selector('x{a="1",a="1",a!="2",a=~"1|2"}')
