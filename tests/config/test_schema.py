"""The JSON Schema for editors is generated, and agrees with `guard check`."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from guard.config.schema import SCHEMA_FILE, main, render

ROOT = Path(__file__).parents[2]
REJECTED = ROOT / "tests" / "config" / "rejected"


def accepts(*files: Path) -> bool:
    command = Path(sys.executable).with_name("check-jsonschema")
    outcome = subprocess.run(
        [command, "--schemafile", ROOT / SCHEMA_FILE, *files], capture_output=True, check=False
    )
    return outcome.returncode == 0


def test_the_committed_schema_is_what_the_models_give() -> None:
    assert (ROOT / SCHEMA_FILE).read_text(encoding="utf-8") == render()


def test_it_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    main(tmp_path / "schema.json")
    assert (tmp_path / "schema.json").read_text(encoding="utf-8") == render()


def test_editors_accept_the_demo_files() -> None:
    assert accepts(*sorted((ROOT / "slos").glob("*.yaml")))


@pytest.mark.parametrize(
    "code",
    [
        "api-version-unknown",
        "key-unknown",
        "key-missing",
        "type-wrong",
        "value-unknown",
        "kind-count",
        "list-empty",
        "name-invalid",
        "port-invalid",
        "duration-invalid",
        "ratio-invalid",
        "target-out-of-range",
        "number-out-of-range",
    ],
)
def test_editors_mark_what_needs_no_parser(code: str) -> None:
    assert not accepts(REJECTED / f"{code}.yaml")
