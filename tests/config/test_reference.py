"""docs/slo-file.md names every key of the SLO file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from guard.config.load import SourceFile, parse
from guard.config.models import (
    AlertsModel,
    CheckModel,
    ErrorRatioModel,
    HealthModel,
    KubernetesModel,
    LatencyModel,
    Model,
    ObjectiveModel,
    OnBlindModel,
    PodsModel,
    PromqlModel,
    RatioModel,
    RolloutModel,
    ScrapeModel,
    SliModel,
    SloFile,
    SlowRatioModel,
    WorkloadModel,
    WorseThanStableModel,
)

PAGE = (Path(__file__).parents[2] / "docs" / "slo-file.md").read_text(encoding="utf-8")

WHERE: dict[type[Model], str] = {
    SloFile: "## The service",
    WorkloadModel: "### `workloads[]`",
    KubernetesModel: "### `workloads[]`",
    ObjectiveModel: "### `objectives[]`",
    SliModel: "### `objectives[]`",
    RatioModel: "### `objectives[]`",
    LatencyModel: "### `objectives[]`",
    RolloutModel: "## The policy: `rollout`",
    OnBlindModel: "## The policy: `rollout`",
    ErrorRatioModel: "### `error_ratio`",
    SlowRatioModel: "### `slow_ratio`",
    WorseThanStableModel: "### `worse_than_stable`",
    HealthModel: "### `health`",
    PodsModel: "### `pods`",
    PromqlModel: "### `promql`",
    AlertsModel: "### `alerts`",
    ScrapeModel: "### `scrape`",
}


def rows(heading: str) -> set[str]:
    """The keys of the table that stands under a heading."""
    section = re.split(r"^#+ ", PAGE.split(heading, 1)[1], maxsplit=1, flags=re.MULTILINE)[0]
    cells = re.findall(r"^\| (`[^|]+`) \|", section, re.MULTILINE)
    return {key for cell in cells for key in re.findall(r"`(\w+)`", cell)}


@pytest.mark.parametrize("heading", sorted(set(WHERE.values())))
def test_each_table_of_the_reference_holds_exactly_the_keys_of_its_mapping(heading: str) -> None:
    models = [model for model, where in WHERE.items() if where == heading]
    keys = {field.alias or name for model in models for name, field in model.model_fields.items()}
    assert rows(heading) == keys


def test_each_kind_of_check_has_a_table() -> None:
    assert {f"### `{kind}`" for kind in CheckModel.model_fields} <= set(WHERE.values())


def test_the_least_file_of_the_reference_is_valid() -> None:
    least = next(
        block for block in re.findall(r"```yaml\n(.*?)```", PAGE, re.DOTALL) if "owner" in block
    )
    assert parse([SourceFile("least.yaml", least.encode())]).problems == ()
