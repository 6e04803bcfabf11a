"""Settings from the environment, a local .env, and files for secrets."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest
from pydantic import SecretStr

from guard.config import settings as module
from guard.config.environment import SECRETS, load_settings
from guard.config.problems import ConfigurationProblems, Problem
from guard.config.setting_values import Listen
from guard.config.settings import Environment, LogFormat, LogLevel, PlatformKind, Settings
from guard.core.workloads import Mode

ROOT = Path(__file__).parents[2]
NOWHERE = Path("/no/such/.env")


@pytest.fixture(autouse=True)
def clean_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in os.environ:
        if name.startswith("GUARD_") or name == "KUBECONFIG":
            monkeypatch.delenv(name)


def problems(dotenv: Path = NOWHERE) -> tuple[Problem, ...]:
    with pytest.raises(ConfigurationProblems) as caught:
        load_settings(dotenv)
    return caught.value.problems


def test_without_any_variable_every_default_holds(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(module, "_OWN_NAMESPACE", tmp_path / "none")
    monkeypatch.setattr(module, "_MOUNTED_SLOS", tmp_path / "none")
    settings = load_settings(NOWHERE)
    assert settings.mode is Mode.OBSERVE
    assert settings.platform is PlatformKind.KUBERNETES
    assert settings.environment is Environment.PRODUCTION
    assert settings.slo_dir == Path("slos")
    assert settings.namespace == "deployment-guard"
    assert settings.namespaces == ()
    assert settings.kubeconfig is None
    assert settings.prometheus_url is None
    assert settings.prometheus_headers == {}
    assert (settings.prometheus_timeout, settings.prometheus_scrape_interval) == (5.0, 15.0)
    assert settings.scrape
    assert (settings.circuit_breaker, settings.circuit_breaker_window) == (5, 3600.0)
    assert settings.listen == Listen("0.0.0.0", 8080)
    assert (settings.log_format, settings.log_level) == (LogFormat.AUTO, LogLevel.INFO)


def test_in_a_pod_the_mounted_folder_and_the_service_accounts_namespace_are_taken(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "namespace").write_text("guards\n", encoding="utf-8")
    monkeypatch.setattr(module, "_OWN_NAMESPACE", tmp_path / "namespace")
    monkeypatch.setattr(module, "_MOUNTED_SLOS", tmp_path)
    settings = load_settings(NOWHERE)
    assert (settings.namespace, settings.slo_dir) == ("guards", tmp_path)


def test_the_process_wins_over_the_local_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_text("GUARD_MODE=act\nGUARD_LOG_LEVEL=debug\nOTHER=1\n", encoding="utf-8")
    monkeypatch.setenv("GUARD_LOG_LEVEL", "error")
    settings = load_settings(dotenv)
    assert (settings.mode, settings.log_level) == (Mode.ACT, LogLevel.ERROR)


def test_lists_flags_addresses_and_urls_are_read(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    authorities = tmp_path / "ca.pem"
    authorities.touch()
    stated = {
        "NAMESPACES": "shop, pay,",
        "SCRAPE": "no",
        "LISTEN": "[::1]:0",
        "PROMETHEUS_URL": "https://prometheus.monitoring:9090/base/",
        "PROMETHEUS_CA_FILE": str(authorities),
        "PROMETHEUS_TIMEOUT": "500ms",
        "PROMETHEUS_REPLICAS": "2",
        "PROMETHEUS_HEADERS": "X-Scope-OrgID=a=b, X-Other=",
        "POD": "guard-0",
    }
    for name, text in stated.items():
        monkeypatch.setenv(f"GUARD_{name}", text)
    settings = load_settings(NOWHERE)
    assert settings.namespaces == ("shop", "pay")
    assert not settings.scrape
    assert str(settings.listen) == "[::1]:0"
    assert settings.prometheus_url == "https://prometheus.monitoring:9090/base"
    assert settings.prometheus_ca_file == authorities
    assert (settings.prometheus_timeout, settings.prometheus_replicas) == (0.5, 2)
    headers = {key: value.get_secret_value() for key, value in settings.prometheus_headers.items()}
    assert headers == {"X-Scope-OrgID": "a=b", "X-Other": ""}
    assert settings.pod == "guard-0"


def test_an_empty_variable_counts_as_unset(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GUARD_PROMETHEUS_URL", "")
    assert load_settings(NOWHERE).prometheus_url is None


@pytest.mark.parametrize("secret", SECRETS)
def test_a_secret_may_stand_in_a_file_and_never_shows(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str
) -> None:
    text = "Key=seeded-secret" if secret.endswith("headers") else "seeded-secret"
    (tmp_path / "secret").write_text(f"{text}\n", encoding="utf-8")
    monkeypatch.setenv(f"GUARD_{secret.upper()}_FILE", str(tmp_path / "secret"))
    if secret.endswith("password"):
        server = secret.removesuffix("_password").upper()
        monkeypatch.setenv(f"GUARD_{server}_USERNAME", "guard")
    settings = load_settings(NOWHERE)
    value = getattr(settings, secret)
    held = value["Key"] if isinstance(value, dict) else value
    assert held == SecretStr("seeded-secret")
    assert "seeded-secret" not in f"{settings!r} {settings} {settings.model_dump()}"


def test_all_mistakes_are_told_at_once_and_none_shows_a_secret(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    stated = {
        "MODE": "off",
        "MOOD": "act",
        "LISTEN": "8080",
        "NAMESPACES": "a,B",
        "SCRAPE": "maybe",
        "CIRCUIT_BREAKER": "0",
        "PROMETHEUS_TIMEOUT": "5",
        "PROMETHEUS_URL": "http://guard:seeded-secret@prometheus",
        "PROMETHEUS_HEADERS": "seeded-secret",
        "PROMETHEUS_TOKEN": "seeded-secret",
        "PROMETHEUS_TOKEN_FILE": "/no/such/file",
        "KUBECONFIG": "/no/such/file",
    }
    for name, text in stated.items():
        monkeypatch.setenv(f"GUARD_{name}", text)
    told = problems()
    assert sorted((p.path, p.code.value) for p in told) == [
        ("GUARD_CIRCUIT_BREAKER", "setting-invalid"),
        ("GUARD_KUBECONFIG", "setting-invalid"),
        ("GUARD_LISTEN", "setting-invalid"),
        ("GUARD_MODE", "setting-invalid"),
        ("GUARD_MOOD", "setting-unknown"),
        ("GUARD_NAMESPACES", "setting-invalid"),
        ("GUARD_PROMETHEUS_HEADERS", "setting-invalid"),
        ("GUARD_PROMETHEUS_TIMEOUT", "setting-invalid"),
        ("GUARD_PROMETHEUS_TOKEN", "setting-conflict"),
        ("GUARD_PROMETHEUS_TOKEN_FILE", "setting-file-unreadable"),
        ("GUARD_PROMETHEUS_URL", "setting-invalid"),
        ("GUARD_SCRAPE", "setting-invalid"),
    ]
    assert "seeded-secret" not in "".join(map(str, told))
    assert {p.file for p in told} == {"environment"}


@pytest.mark.parametrize(
    "url",
    [
        "prometheus:9090",
        "ftp://host",
        "http://",
        "http://host:99999",
        "http://h/?a=b",
        "http://h:0",
        "http://h/a b",
        " http://h",
        "http://h\t",
    ],
)
def test_what_is_no_base_url_is_refused(monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("GUARD_PROMETHEUS_URL", url)
    assert [p.code.value for p in problems()] == ["setting-invalid"]


def test_an_unknown_variable_is_refused_with_the_closest_known_one(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GUARD_PROMETEUS_URL", "http://prometheus")
    (problem,) = problems()
    assert "GUARD_PROMETHEUS_URL" in problem.action


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("GUARD_TEST_X", "1"),
        ("GUARD_E2E_IMAGE", "1"),
        ("GUARD_NO_SKIPS", "1"),
        ("GUARD_SERVICE_HOST", "10.0.0.1"),
        ("GUARD_SERVICE_PORT_HTTP", "80"),
        ("GUARD_API_PORT", "tcp://10.0.0.1:80"),
        ("GUARD_PORT", "tcp://10.0.0.1:80"),
        ("GUARD_PORT_80_TCP_ADDR", "10.0.0.1"),
    ],
)
def test_variables_of_tests_and_of_kubernetes_services_are_left_alone(
    monkeypatch: pytest.MonkeyPatch, name: str, text: str
) -> None:
    monkeypatch.setenv(name, text)
    assert load_settings(NOWHERE).mode is Mode.OBSERVE


def test_a_port_that_a_person_set_is_not_taken_for_a_service(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GUARD_PORT", "8080")
    assert [p.code.value for p in problems()] == ["setting-unknown"]


def test_a_local_file_that_is_no_text_is_told(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"GUARD_MODE=\xff\n")
    assert [p.code.value for p in problems(dotenv)] == ["setting-file-unreadable"]


def test_a_secret_file_that_is_no_text_is_told(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "token").write_bytes(b"\xff")
    monkeypatch.setenv("GUARD_PROMETHEUS_TOKEN_FILE", str(tmp_path / "token"))
    (problem,) = problems()
    assert problem.code.value == "setting-file-unreadable"
    assert "UTF-8" in problem.found


def test_kubectls_own_variable_names_the_cluster(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    (tmp_path / "config").touch()
    monkeypatch.setenv("KUBECONFIG", f"/no/such/file{os.pathsep}{tmp_path / 'config'}")
    assert load_settings(NOWHERE).kubeconfig == tmp_path / "config"


def test_settings_can_be_built_in_code() -> None:
    built = Settings(
        mode=Mode.ACT,
        namespaces=("shop",),
        listen=Listen("127.0.0.1", 0),
        prometheus_timeout=1.5,
        prometheus_headers={"X": SecretStr("y")},
    )
    assert (built.mode, built.namespaces, built.prometheus_timeout) == (Mode.ACT, ("shop",), 1.5)
    assert built.prometheus_headers == {"X": SecretStr("y")}
    assert str(built.listen) == "127.0.0.1:0"


def test_every_setting_is_documented_with_its_unit_default_and_reason() -> None:
    page = (ROOT / "docs" / "settings.md").read_text(encoding="utf-8")
    listed = re.findall(r"^\| `GUARD_([A-Z_]+)` \|", page, re.MULTILINE)
    assert sorted(name.lower() for name in listed) == sorted(Settings.model_fields)
    for name, field in Settings.model_fields.items():
        assert "efault" in (field.description or ""), name


@pytest.mark.parametrize("text", [",,", " ", ", ,"])
def test_commas_alone_do_not_name_all_namespaces(
    monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    monkeypatch.setenv("GUARD_NAMESPACES", text)
    (problem,) = problems()
    assert (problem.path, problem.code.value) == ("GUARD_NAMESPACES", "setting-invalid")


def test_each_line_of_a_local_file_that_sets_nothing_is_told_and_not_shown(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    lines = ("# words", "", "GUARD MODE=act", "OTHER", "", "GUARD_SCRAPE", "X='seeded-secret")
    dotenv.write_text("\n".join(lines), encoding="utf-8")
    told = problems(dotenv)
    assert [(p.file, p.line, p.path, p.code.value) for p in told] == [
        (str(dotenv), 3, "", "setting-invalid"),
        (str(dotenv), 6, "GUARD_SCRAPE", "setting-invalid"),
        (str(dotenv), 7, "", "setting-invalid"),
    ]
    assert "seeded-secret" not in "".join(map(str, told))


def test_a_byte_order_mark_hides_no_setting(tmp_path: Path) -> None:
    dotenv = tmp_path / ".env"
    dotenv.write_bytes(b"\xef\xbb\xbfGUARD_MODE=act\n")
    assert load_settings(dotenv).mode is Mode.ACT


def test_a_local_file_that_is_a_folder_or_a_link_to_nowhere_is_told(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to("nowhere")
    for path in (tmp_path, tmp_path / "link"):
        assert [p.code.value for p in problems(path)] == ["setting-file-unreadable"]


@pytest.mark.parametrize("secret", SECRETS)
def test_an_empty_file_is_no_secret(monkeypatch: pytest.MonkeyPatch, secret: str) -> None:
    name = f"GUARD_{secret.upper()}_FILE"
    monkeypatch.setenv(name, os.devnull)
    server = secret.rpartition("_")[0].upper()
    if secret.endswith("password"):
        monkeypatch.setenv(f"GUARD_{server}_USERNAME", "guard")
    (problem,) = problems()
    assert (problem.path, problem.code.value) == (name, "setting-invalid")


@pytest.mark.parametrize("secret", SECRETS)
@pytest.mark.parametrize("sign", ["\n", "\r", "\x07", "\x7f", "\u2028"])
def test_a_secret_of_several_lines_is_refused_and_not_shown(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, secret: str, sign: str
) -> None:
    text = f"seeded{sign}-secret"
    (tmp_path / "secret").write_text(f"Key={text}" if "headers" in secret else text, "utf-8")
    name = f"GUARD_{secret.upper()}_FILE"
    monkeypatch.setenv(name, str(tmp_path / "secret"))
    if secret.endswith("password"):
        server = secret.rpartition("_")[0].upper()
        monkeypatch.setenv(f"GUARD_{server}_USERNAME", "guard")
    (problem,) = problems()
    assert (problem.path, problem.code.value) == (name, "setting-invalid")
    assert "seeded" not in str(problem)
    assert "line break or another control character" in problem.found


def test_what_stands_in_a_header_is_ascii_and_a_password_may_be_any_text(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("GUARD_PROMETHEUS_HEADERS", "X-Scope-OrgID=tëam")
    monkeypatch.setenv("GUARD_PROMETHEUS_TOKEN", "tökén")
    monkeypatch.setenv("GUARD_ALERTMANAGER_USERNAME", "guard")
    monkeypatch.setenv("GUARD_ALERTMANAGER_PASSWORD", "pässwörd")
    told = problems()
    assert sorted((p.path, p.found) for p in told) == [
        ("GUARD_PROMETHEUS_HEADERS", "a value of X-Scope-OrgID that is not ASCII"),
        ("GUARD_PROMETHEUS_TOKEN", "a token that is not ASCII"),
    ]
    assert "ë" not in "".join(map(str, told))


@pytest.mark.parametrize(
    ("name", "action"),
    [
        ("GUARD_mode", "did you mean 'GUARD_MODE'?"),
        ("GUARD_NAMESPACE_S", "did you mean 'GUARD_NAMESPACES'?"),
        ("GUARD_FOO", "remove it, or use a name of that page"),
    ],
)
def test_only_a_name_that_is_close_is_suggested_whatever_its_case(
    monkeypatch: pytest.MonkeyPatch, name: str, action: str
) -> None:
    monkeypatch.setenv(name, "act")
    (problem,) = problems()
    assert problem.action == action
