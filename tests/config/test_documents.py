"""Whatever stands in a file, reading it ends with problems that name their lines."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.config.codes import Code
from guard.config.documents import read_document
from guard.config.load import SourceFile, parse

if TYPE_CHECKING:
    from guard.config.problems import Problem

ROOT = Path(__file__).parents[2]
EXAMPLE = (ROOT / "slos" / "auth-service.yaml").read_text(encoding="utf-8")
HEAD = "apiVersion: guard/v1\nservice: a\n"


def wrong(text: str) -> list[Problem]:
    _, problems = read_document("a.yaml", text.encode("utf-8", "surrogatepass"))
    return problems


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("owner: 2026-02-30", "'2026-02-30', which is no !!timestamp"),
        ("owner: !!int x", "'x', which is no !!int"),
        ("owner: !!bool maybe", "'maybe', which is no !!bool"),
        ("owner: " + "9" * 5_000, "which is no !!int"),
        ("target: 99_9", "a number with an underscore"),
        ("owner: !!omap [a: 1, a: 2]", "the tag !!omap"),
        ("owner: !mine x", "the tag !mine"),
        ("owner: !!python/object:os.system x", "the tag !!python/object:os.system"),
        ('owner: "\\ud800"', "half of a surrogate pair"),
        ('"\\udfff": 1', "the key '\\udfff'"),
        ("true: 1", "the key 'true' (!!bool)"),
        ("7: 1", "the key '7' (!!int)"),
        ("? - error_ratio: {a: 1}\n: 3", "a key that is a list"),
        ("? {a: 1}\n: 3", "a key that is a mapping"),
        ("owner: " + "[" * 90 + "]" * 90, "more than 50 levels"),
        ("owner: " + "[" * 5_000, "more than 50 levels"),
    ],
)
def test_what_yaml_allows_and_no_slo_file_holds_is_refused_at_its_line(
    text: str, found: str
) -> None:
    (problem,) = wrong(f"{HEAD}{text}\n")
    code = Code.KEY_UNKNOWN if " key " in f" {problem.found} " else Code.YAML_INVALID
    assert (problem.code, problem.line) == (code, 3)
    assert found in problem.found


@pytest.mark.parametrize("text", ["a: &a [*a]", "a: &a {<<: *a}", "a: &a\n  <<: [*a]"])
def test_aliases_without_end_are_refused(text: str) -> None:
    (problem,) = wrong(f"{HEAD}{text}\n")
    assert problem.found == "aliases that unfold endlessly"


def test_aliases_that_grow_by_doubling_are_refused() -> None:
    doubled = "".join(f"a{n}: &a{n} [*a{n - 1}, *a{n - 1}]\n" for n in range(1, 40))
    (problem,) = wrong(f"{HEAD}a0: &a0 [x, x]\n{doubled}")
    assert problem.found == "aliases that unfold endlessly"


def test_a_value_that_cannot_be_read_hides_no_other_mistake() -> None:
    text = EXAMPLE.replace("target: 99.9", "target: !!int x").replace("bake: 2m", "baek: 2m")
    problems = parse([SourceFile("a.yaml", f"{text}true: 1\n".encode())]).problems
    assert [problem.code for problem in problems if problem.code is not Code.TARGET_INVALID] == [
        Code.YAML_INVALID,
        Code.KEY_UNKNOWN,
        Code.KEY_UNKNOWN,
    ]


def test_anchors_and_merged_keys_are_plain_yaml() -> None:
    document, problems = read_document("a", b"a: &b {c: 1, d: 2}\ne:\n  <<: *b\n  c: 3\n")
    assert document is not None
    assert (document.data["e"], problems) == ({"c": 3, "d": 2}, [])


def test_an_anchor_that_is_set_anew_is_no_problem_and_no_warning() -> None:
    assert wrong(f"{HEAD}owner: &a x\ndepends_on: [&a y, *a]\n") == []


@given(st.binary(max_size=200))
def test_no_bytes_raise(content: bytes) -> None:
    loaded = parse([SourceFile("a.yaml", content)])
    assert loaded.problems


BITS = st.sampled_from(
    [
        *("!!int ", "!x ", "? ", "&a ", "*a", "<<: *a", "[", "]", "{", "}", "- ", ": ", "\n", "  "),
        *("%", "|", ">", "'", '"', "#", "---\n", "...\n", "~", "1e999", ".nan", "0x", "1_0"),
        *("\\ud800", "=", "\0"),
    ]
)


@given(st.lists(st.tuples(st.integers(0, len(EXAMPLE)), BITS), min_size=1, max_size=4))
def test_no_damage_to_a_file_raises(damage: list[tuple[int, str]]) -> None:
    text = EXAMPLE
    for at, bit in damage:
        text = text[:at] + bit + text[at:]
    loaded = parse([SourceFile("a.yaml", text.encode())])
    assert loaded.services or loaded.problems
    for problem in loaded.problems:
        assert 1 <= problem.line <= text.count("\n") + 1
        assert str(problem).encode()
