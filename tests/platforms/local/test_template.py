"""Templates: what makes a revision, and what makes its content."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.core.errors import PermanentError
from guard.platforms.local.template import Template

ONE = Template("shop:1", error_ratio=0.2, annotations=(("why", "a && b < é"),))


def test_an_annotation_alone_makes_another_revision_of_the_same_content() -> None:
    restarted = replace(ONE, annotations=(("restartedAt", "now"),))
    assert restarted.hash != ONE.hash
    assert restarted.content == ONE.content


def test_anything_else_makes_another_content() -> None:
    assert replace(ONE, error_ratio=0.1).content != ONE.content
    assert replace(ONE, image="shop:2").content != ONE.content


@given(
    st.builds(
        Template,
        image=st.text(),
        error_ratio=st.floats(0, 1),
        error_cluster=st.integers(1, 50),
        never_ready=st.booleans(),
        annotations=st.lists(st.tuples(st.text(), st.text())).map(tuple),
    )
)
def test_a_template_is_read_back_from_its_text_as_it_was(template: Template) -> None:
    assert Template.read(template.text) == template


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        '{"image": "a"}',
        '{"annotations": [], "colour": "red"}',
        '{"annotations": 1}',
    ],
    ids=["empty", "a list", "nothing", "no annotations", "an unknown key", "no pairs"],
)
def test_a_text_of_another_kind_is_refused(text: str) -> None:
    with pytest.raises(PermanentError, match="this guard can read"):
        Template.read(text)
