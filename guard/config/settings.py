"""Settings of the process, from `GUARD_…` variables, a local `.env`, and files for secrets.

Read once, at start, by `load_settings`; nothing else in the guard looks at the environment. Every
mistake is reported at once, and an unknown `GUARD_…` variable is one: a misspelt safety setting
must not be silently without effect.
"""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Final

from pydantic import BeforeValidator, Field, SecretStr
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from guard.config import setting_values as read
from guard.config.fields import choice
from guard.core.workloads import Mode

PREFIX: Final = "GUARD_"

_MOUNTED_SLOS: Final = Path("/etc/guard/slos")
_OWN_NAMESPACE: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_FALLBACK_NAMESPACE: Final = "deployment-guard"


class PlatformKind(StrEnum):
    """Where the workloads run."""

    KUBERNETES = "kubernetes"
    LOCAL = "local"


class LogFormat(StrEnum):
    """How log lines look."""

    AUTO = "auto"
    JSON = "json"
    TEXT = "text"


class LogLevel(StrEnum):
    """From which severity on something is logged."""

    DEBUG = "debug"
    INFO = "info"
    WARNING = "warning"
    ERROR = "error"


class Environment(StrEnum):
    """What kind of place this is, for people and channels."""

    DEV = "dev"
    STAGING = "staging"
    PRODUCTION = "production"


def _slo_dir() -> Path:
    return _MOUNTED_SLOS if _MOUNTED_SLOS.is_dir() else Path("slos")


def _namespace() -> str:
    try:
        return _OWN_NAMESPACE.read_text(encoding="utf-8").strip() or _FALLBACK_NAMESPACE
    except OSError:
        return _FALLBACK_NAMESPACE


def _kubeconfig() -> Path | None:
    """The first file of kubectl's own variable that exists; kubectl too skips the others."""
    names = os.environ.get("KUBECONFIG", "").split(os.pathsep)
    return next((Path(name) for name in names if name and Path(name).is_file()), None)


_Mode = Annotated[Mode, BeforeValidator(read.mode)]
_Platform = Annotated[PlatformKind, BeforeValidator(choice(PlatformKind))]
_LogFormat = Annotated[LogFormat, BeforeValidator(choice(LogFormat))]
_LogLevel = Annotated[LogLevel, BeforeValidator(choice(LogLevel))]
_Environment = Annotated[Environment, BeforeValidator(choice(Environment))]
_Flag = Annotated[bool, BeforeValidator(read.flag)]
_Names = Annotated[tuple[str, ...], NoDecode, BeforeValidator(read.names)]
_Name = Annotated[str, BeforeValidator(read.name)]
_Url = Annotated[str, BeforeValidator(read.url)]
_File = Annotated[Path, BeforeValidator(read.file)]
_Password = Annotated[SecretStr, BeforeValidator(read.password)]
_Token = Annotated[SecretStr, BeforeValidator(read.token)]
_Headers = Annotated[dict[str, SecretStr], NoDecode, BeforeValidator(read.headers)]
_Listen = Annotated[read.Listen, NoDecode, BeforeValidator(read.listen)]
_Interval = Annotated[float, BeforeValidator(read.duration_between("1s", "10m"))]
_Timeout = Annotated[float, BeforeValidator(read.duration_between("100ms", "1m"))]
_Window = Annotated[float, BeforeValidator(read.duration_between("1m", "7d"))]
_Count = Annotated[int, BeforeValidator(read.count_between(1, 1000))]


class Settings(BaseSettings):
    """What the process was told. Durations are seconds; secrets show as stars in every repr."""

    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True
    )

    mode: _Mode = Field(
        default=Mode.OBSERVE,
        description="observe or act. Default observe: a new guard shows what it would do first.",
    )
    platform: _Platform = Field(
        default=PlatformKind.KUBERNETES,
        description="kubernetes (default) or local, which runs servers in-process for the demo.",
    )
    environment: _Environment = Field(
        default=Environment.PRODUCTION,
        description="dev, staging or production (default: the careful one), named in notices.",
    )
    slo_dir: Path = Field(
        default_factory=_slo_dir,
        description="Folder of SLO files. Default /etc/guard/slos if it exists, else ./slos.",
    )
    namespaces: _Names = Field(
        default=(),
        description="Namespaces to watch, with commas. Default: all; name some where only a Role "
        "is granted.",
    )
    namespace: _Name = Field(
        default_factory=_namespace,
        description="The guard's own namespace, where it keeps its records. Default: its service "
        "account's, else deployment-guard.",
    )
    pod: _Name | None = Field(
        default=None,
        description="The guard's own pod, for its logs. Default: none; the manifests set it.",
    )
    deployment: _Name = Field(
        default="deployment-guard",
        description="The guard's own Deployment, which it refuses to guard. Default "
        "deployment-guard.",
    )
    kubeconfig: _File | None = Field(
        default_factory=_kubeconfig,
        description="File to reach the cluster with. Default: KUBECONFIG, else the pod's service "
        "account.",
    )
    prometheus_url: _Url | None = Field(
        default=None,
        description="Base URL of Prometheus. Default: none; then the pods are scraped only.",
    )
    prometheus_username: str | None = Field(
        default=None, description="User for basic authentication. Default: none."
    )
    prometheus_password: _Password | None = Field(
        default=None, description="Password for basic authentication. Default: none. A secret."
    )
    prometheus_token: _Token | None = Field(
        default=None, description="Bearer token. Default: none. A secret."
    )
    prometheus_headers: _Headers = Field(
        default_factory=dict,
        description="Further headers, `Name=value` with commas, such as X-Scope-OrgID. Default: "
        "none. A secret.",
    )
    prometheus_ca_file: _File | None = Field(
        default=None,
        description="Certificate authorities to trust. Default: the system's.",
    )
    prometheus_timeout: _Timeout = Field(
        default=5.0,
        description="Time for one query, 100ms to 1m. Default 5s: an answer that comes later is "
        "of no use to a decision.",
    )
    prometheus_scrape_interval: _Interval = Field(
        default=15.0,
        description="Prometheus' scrape interval, 1s to 10m. Default 15s. Older samples count "
        "as stale.",
    )
    prometheus_replicas: _Count = Field(
        default=1,
        description="Prometheus servers behind the URL. Default 1. More than one scrape at "
        "different moments.",
    )
    alertmanager_url: _Url | None = Field(
        default=None,
        description="Base URL of Alertmanager. Default: none; then no alert counts.",
    )
    alertmanager_username: str | None = Field(
        default=None, description="User for basic authentication. Default: none."
    )
    alertmanager_password: _Password | None = Field(
        default=None, description="Password for basic authentication. Default: none. A secret."
    )
    alertmanager_token: _Token | None = Field(
        default=None, description="Bearer token. Default: none. A secret."
    )
    alertmanager_headers: _Headers = Field(
        default_factory=dict,
        description="Further headers, `Name=value` with commas. Default: none. A secret.",
    )
    alertmanager_ca_file: _File | None = Field(
        default=None,
        description="Certificate authorities to trust. Default: the system's.",
    )
    alertmanager_timeout: _Timeout = Field(
        default=5.0,
        description="Time for one question, 100ms to 1m. Default 5s, as Prometheus'.",
    )
    scrape: _Flag = Field(
        default=True,
        description="Read the pods' own /metrics. Default true: detection need not wait for "
        "Prometheus, nor end with it.",
    )
    circuit_breaker: _Count = Field(
        default=5,
        description="Rollbacks of all workloads within the window; one more stops automatic "
        "rollbacks and pages. Default 5: so many at once are an incident, not releases.",
    )
    circuit_breaker_window: _Window = Field(
        default=3600.0, description="Window of the circuit breaker, 1m to 7d. Default 1h."
    )
    listen: _Listen = Field(
        default=read.Listen("0.0.0.0", 8080),  # noqa: S104 - probes reach a pod from outside it
        description="Address and port of API, status page, probes and metrics. Default "
        "0.0.0.0:8080.",
    )
    log_format: _LogFormat = Field(
        default=LogFormat.AUTO,
        description="auto (default: text on a terminal, else json), json or text.",
    )
    log_level: _LogLevel = Field(
        default=LogLevel.INFO, description="debug, info (default), warning or error."
    )
