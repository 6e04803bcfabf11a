"""SLO files from disk become services, or every problem at once."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from guard.config.load import SourceFile, load, parse, services
from guard.config.problems import ConfigurationProblems
from guard.config.translate import keys_at
from guard.core.policy import (
    ErrorRatio,
    Health,
    OnBlind,
    OnFail,
    OnInconclusive,
    OnLateFail,
    OnShared,
    Pods,
    Policy,
    Promql,
    Scrape,
    Step,
)
from guard.core.workloads import WorkloadId

if TYPE_CHECKING:
    from collections.abc import Sequence

    from guard.config.problems import Problem

ROOT = Path(__file__).parents[2]

LEAST = """\
apiVersion: guard/v1
service: auth
owner: team
workloads:
  - kubernetes: {namespace: shop, deployment: auth}
rollout:
  checks:
    - pods: {}
"""

WHOLE = """\
apiVersion: guard/v1
service: auth
owner: team
workloads:
  - kubernetes: {namespace: shop, deployment: auth.v2}
objectives:
  - {name: ok, target: 99.9%, window: 30d, sli: {ratio: {bad: errors_total, total: all_total}}}
target_labels: [cluster]
rollout:
  bake: 10s
  deadline: 1m
  checks:
    - error_ratio: {name: five, objective: ok, above: 0.05, allowance: 4, settle: 3s}
    - error_ratio: {objective: ok}
    - health: {name: up, path: /up, port: web, scheme: https, expect: 204, every: 1s,
        timeout: 500ms, failures: 2}
    - pods: {name: kube, ready_within: 1m}
    - promql: {name: queue depth, expr: q, below: -1, failures: 1, every: 10s}
  pace: [first]
  narrow: false
  on_fail: notify
  on_blind: {patience: 3m, then: notify}
  on_inconclusive: rollback
  on_shared: rollback
  watch: 45m
  on_late_fail: rollback
  scrape: {container: app, port: 9090, path: /m, scheme: https, ca_file: /ca, token_file: /t}
  false_abort: 0.1%
  false_promote: 10%
  trust_after: 2h
"""


def write(folder: Path, **files: str) -> Path:
    for name, text in files.items():
        (folder / f"{name}.yaml").write_text(text, encoding="utf-8")
    return folder


def codes(problems: Sequence[Problem]) -> list[str]:
    return [problem.code.value for problem in problems]


def test_the_least_file_takes_every_default_of_the_core(tmp_path: Path) -> None:
    (service,) = services([write(tmp_path, auth=LEAST)])
    assert service.policy == Policy(service="auth", owner="team", checks=(Pods(),))
    assert service.workloads == (WorkloadId("kubernetes", "shop", "auth"),)
    assert service.path == str(tmp_path / "auth.yaml")


def test_every_key_reaches_the_policy(tmp_path: Path) -> None:
    (service,) = services([write(tmp_path, auth=WHOLE)])
    (objective,) = service.objectives
    assert (objective.target, objective.window) == (0.999, 30 * 86_400)
    assert objective.sli.target_labels == frozenset({"cluster"})
    assert service.policy == Policy(
        service="auth",
        owner="team",
        checks=(
            ErrorRatio("five", objective, above=0.05, allowance=4, settle=3.0),
            ErrorRatio("ok", objective),
            Health("up", "/up", "web", "https", 204, 1.0, 0.5, 2),
            Pods("kube", 60.0),
            Promql("queue depth", "q", below=-1.0, failures=1, every=10.0),
        ),
        bake=10.0,
        deadline=60.0,
        on_fail=OnFail.NOTIFY,
        patience=180.0,
        on_blind=OnBlind.NOTIFY,
        on_inconclusive=OnInconclusive.ROLLBACK,
        on_shared=OnShared.ROLLBACK,
        watch=2700.0,
        on_late_fail=OnLateFail.ROLLBACK,
        alpha=0.001,
        beta=0.1,
        trust_after=7200.0,
        scrape=Scrape("app", 9090, "/m", "https", "/ca", "/t"),
        pace=(Step.FIRST,),
        narrow=False,
        on_fail_stated=True,
    )


def test_the_demo_files_are_valid_and_of_the_shop() -> None:
    found = services([ROOT / "slos"])
    assert {service.name for service in found} >= {"auth-service", "orders"}
    assert {workload.namespace for s in found for workload in s.workloads} == {"shop"}


def test_all_problems_of_all_files_are_told_at_once_in_the_order_of_their_lines(
    tmp_path: Path,
) -> None:
    first = LEAST.replace("service: auth", "service: Auth").replace("owner", "ownr")
    second = LEAST + "  bake: 2\n  deadline: -1m\n  on_fail: undo\n  nonsense: 1\n"
    loaded = load([write(tmp_path, a=first, b=second), tmp_path / "missing.yaml"])
    told = [(Path(p.file).name, p.line, p.code.value) for p in loaded.problems]
    assert told == [
        ("missing.yaml", 0, "path-unreadable"),
        ("a.yaml", 1, "key-missing"),
        ("a.yaml", 2, "name-invalid"),
        ("a.yaml", 3, "key-unknown"),
        ("b.yaml", 5, "workload-duplicate"),
        ("b.yaml", 9, "duration-invalid"),
        ("b.yaml", 10, "duration-out-of-range"),
        ("b.yaml", 11, "value-unknown"),
        ("b.yaml", 12, "key-unknown"),
    ]
    assert loaded.services == ()
    assert loaded.unreadable


def test_a_file_that_is_right_is_loaded_beside_one_that_is_wrong(tmp_path: Path) -> None:
    loaded = load([write(tmp_path, good=LEAST, wrong="- 1\n")])
    assert [service.name for service in loaded.services] == ["auth"]
    assert codes(loaded.problems) == ["document-invalid"]
    assert not loaded.unreadable


def test_problems_raise_as_one_error_that_holds_them_all(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationProblems, match=r"a\.yaml:1: \[document-invalid\]") as caught:
        services([write(tmp_path, a="", b="1")])
    assert codes(caught.value.problems) == ["document-invalid", "document-invalid"]


def test_a_folder_gives_its_yaml_files_and_no_hidden_ones_or_folders(tmp_path: Path) -> None:
    write(tmp_path, a=LEAST)
    (tmp_path / "b.yml").write_text(LEAST.replace("auth", "other"), encoding="utf-8")
    (tmp_path / "notes.txt").write_text("no", encoding="utf-8")
    (tmp_path / ".hidden.yaml").write_text("no", encoding="utf-8")
    (tmp_path / "folder.yaml").mkdir()
    (tmp_path / "..data").mkdir()
    assert [service.name for service in load([tmp_path]).services] == ["auth", "other"]


def test_a_file_that_the_system_will_not_open_is_unreadable(tmp_path: Path) -> None:
    (tmp_path / "loop.yaml").symlink_to("loop.yaml")
    loaded = load([tmp_path])
    assert codes(loaded.problems) == ["path-unreadable"]
    assert "symbolic links" in loaded.problems[0].found


@pytest.mark.parametrize(
    "content",
    [b"service: \xff\n", b"a: \x00b\n", b"a: &x [*x]\n", b"a: *nowhere\n", b"a: 1\n---\nb: 2\n"],
)
def test_what_yaml_does_not_allow_is_one_problem(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.yaml").write_bytes(content)
    assert codes(load([tmp_path]).problems) == ["yaml-invalid"]


def test_aliases_that_unfold_into_a_great_many_values_are_refused(tmp_path: Path) -> None:
    bomb = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
        f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]\n" for n in range(1, 9)
    )
    assert codes(load([write(tmp_path, a=bomb)]).problems) == ["yaml-invalid"]


def test_each_duplicate_key_is_told_with_the_rest(tmp_path: Path) -> None:
    text = LEAST.replace("owner: team\n", "owner: team\nowner: x\nservice: 5\n")
    loaded = load([write(tmp_path, a=text)])
    assert [(p.line, p.code.value) for p in loaded.problems] == [
        (4, "key-duplicate"),
        (5, "key-duplicate"),
    ]


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_bytes(b"\xef\xbb\xbf" + LEAST.encode())
    assert not load([tmp_path]).problems


@pytest.mark.parametrize(
    ("old", "new", "told"),
    [
        ("    - pods: {}", "    - pods:", "type-wrong"),
        ("    - pods: {}", "    - pods", "type-wrong"),
        ("    - pods: {}", "    - {}", "kind-count"),
        ("    - pods: {}", "    - health: {every: }", "type-wrong"),
        ("    - pods: {}", "    - health: {every: 1h}", "duration-out-of-range"),
        ("    - pods: {}", "    - health: {port: Web!}", "port-invalid"),
        ("    - pods: {}", "    - health: {scheme: ftp}", "value-unknown"),
        ("    - pods: {}", "    - healt: {}", "key-unknown"),
        ("    - pods: {}", "    - error_ratio: {objective: a}", "objective-unknown"),
        ("deployment: auth", "statefulset: auth", "platform-unsupported"),
        ("service: auth", "1: 2\nservice: auth", "key-unknown"),
        ("service: auth", "? [1]\n: 2\nservice: auth", "key-unknown"),
        ("rollout:", "objectives: 5\nrollout:", "type-wrong"),
        ("  checks:\n", "  bake: 1h\n  checks:\n", "deadline-before-bake"),
        ("  checks:\n", "  bake: 8d\n  checks:\n", "duration-out-of-range"),
        ("  checks:\n", "  deadline: 0s\n  checks:\n", "duration-out-of-range"),
        ("service: auth", "service: !!int x", "yaml-invalid"),
        ("rollout:", "depends_on: [!!int x]\nrollout:", "yaml-invalid"),
        ("  checks:\n", "  bake: !!int x\n  checks:\n", "yaml-invalid"),
        ("    - pods: {}", "    - error_ratio: {objective: ''}", "name-invalid"),
        ("rollout:\n  checks:\n    - pods: {}\n", "rollout: 5\n", "type-wrong"),
    ],
)
def test_one_mistake_is_one_problem(tmp_path: Path, old: str, new: str, told: str) -> None:
    assert old in LEAST
    loaded = load([write(tmp_path, a=LEAST.replace(old, new))])
    assert codes(loaded.problems) == [told], "\n".join(map(str, loaded.problems))


OBJECTIVE = """\
objectives:
  - {name: NAME, target: 99.9, window: 30d, sli: {preset: http_requests_total}}
rollout:
"""


def test_an_empty_name_is_offered_to_nobody() -> None:
    text = LEAST.replace("rollout:\n", OBJECTIVE.replace("NAME", "''"))
    text += "    - error_ratio: {objective: ok}\n"
    empty, unknown = parse([SourceFile("a.yaml", text.encode())]).problems
    assert (empty.code.value, unknown.code.value) == ("name-invalid", "objective-unknown")
    assert (unknown.expected, unknown.action) == (
        "an objective of this file",
        "add it under objectives:",
    )


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("    - pods: {}", "    - promql: {name: q, expr: q, above: LONG}"),
        ("    - pods: {}", "    - promql: {name: q, expr: q, above: 0xLONG}"),
        ("    - pods: {}", "    - health: {port: LONG, expect: 0xLONG}"),
        ("service: auth", "service: LONG"),
        ("service: auth", "service: !LONG x"),
        ("owner: team", "owner: team\nLONG: 1"),
        ("owner: team", "owner: *aLONG"),
        ("  checks:\n", "  bake: LONGm\n  checks:\n"),
        ("deployment: auth", "deployment: aLONG"),
        ("rollout:\n", f"{OBJECTIVE.replace('NAME', 'aLONG')}  on_fail: LONG\n"),
        ("    - pods: {}", "    - error_ratio: {objective: aLONG}"),
        ("    - pods: {}", "    - pods: {name: aLONG}\n    - pods: {name: aLONG}"),
        ("    - pods: {}", "    - {aLONG: {}, pods: {}}"),
    ],
)
@pytest.mark.parametrize("long", ["9" * 400, "9" * 4_200])
def test_no_message_holds_a_long_value_whole(old: str, new: str, long: str) -> None:
    assert old in LEAST
    text = LEAST.replace(old, new.replace("LONG", long)).encode()
    loaded = parse([SourceFile("a.yaml", text), SourceFile("b.yaml", text)])
    assert loaded.problems
    for problem in loaded.problems:
        words = (problem.found, problem.expected, problem.action)
        assert all("9" * 300 not in word for word in words), problem


def test_a_file_that_is_named_twice_is_read_once(tmp_path: Path) -> None:
    file = write(tmp_path, a=LEAST) / "a.yaml"
    (tmp_path / "linked.yml").symlink_to(file)
    missing = tmp_path / "missing.yaml"
    loaded = load([file, tmp_path / ".." / tmp_path.name / "a.yaml", tmp_path, missing, missing])
    assert ([service.name for service in loaded.services], loaded.files) == (["auth"], 1)
    assert codes(loaded.problems) == ["path-unreadable"]


@pytest.mark.parametrize(
    ("path", "action"),
    [
        ("health", "write /health, for example"),
        ("/he alth", "write %20 for ' ', or leave it out"),
        ("/a#b", "write %23 for '#', or leave it out"),
        ("/%zz", "write %25 for '%', or leave it out"),
        ("/%a", "write %25 for '%', or leave it out"),
        ("/" + "a" * 600, "shorten it"),
    ],
)
def test_a_url_path_is_refused_by_the_character_that_is_wrong(path: str, action: str) -> None:
    text = LEAST.replace("pods: {}", f"health: {{path: {path!r}}}")
    (problem,) = parse([SourceFile("a.yaml", text.encode())]).problems
    assert (problem.code.value, problem.action) == ("url-path-invalid", action)


@pytest.mark.parametrize("path", ["/", "/../a", "//a", "/a%2Fb?c=d", "/é"])
def test_other_url_paths_are_left_as_they_are(path: str) -> None:
    text = LEAST.replace("pods: {}", f"health: {{path: {path!r}}}")
    assert parse([SourceFile("a.yaml", text.encode())]).problems == ()


def test_a_workload_named_twice_in_one_file_is_refused(tmp_path: Path) -> None:
    item = "  - kubernetes: {namespace: shop, deployment: auth}\n"
    loaded = load([write(tmp_path, a=LEAST.replace(item, item * 2))])
    assert [(p.line, p.code.value) for p in loaded.problems] == [(6, "workload-duplicate")]


def test_the_keys_of_each_place_are_known() -> None:
    assert keys_at(())[0] == "apiVersion"
    assert keys_at(("rollout", "checks", 0, "health"))[:3] == ["name", "path", "port"]


def test_a_service_may_depend_on_another_one_of_the_same_files() -> None:
    text = (Path(__file__).parents[2] / "slos" / "auth-service.yaml").read_text(encoding="utf-8")
    auth = text.replace("owner:", "depends_on: [orders]\nowner:", 1).encode()
    orders = (Path(__file__).parents[2] / "slos" / "orders.yaml").read_bytes()
    loaded = parse([SourceFile("auth.yaml", auth), SourceFile("orders.yaml", orders)])
    assert loaded.problems == ()
    assert [service.policy.depends_on for service in loaded.services] == [("orders",), ()]
    (alone,) = parse([SourceFile("auth.yaml", auth)]).problems
    assert "check the whole folder" in alone.action


def test_names_that_are_empty_are_no_duplicates_of_each_other() -> None:
    text = LEAST.replace("pods: {}", "pods: {name: ''}\n    - health: {name: ''}")
    text = text.replace("service: auth", "service: ''")
    loaded = parse([SourceFile(name, text.replace("auth", name).encode()) for name in ("a", "b")])
    assert codes(loaded.problems) == ["name-invalid"] * 6
