"""The environment, read once: which variables there are, and what is wrong with them.

The one place that looks at `os.environ`, `.env` and the files that hold secrets.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from pydantic import ValidationError

from guard.config.codes import Code
from guard.config.problems import ConfigurationProblems, Problem, Rejected, closest
from guard.config.settings import PREFIX, Settings

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

DOTENV: Final = Path(".env")

_SERVERS: Final = ("prometheus", "alertmanager")
SECRETS: Final = tuple(
    f"{server}_{secret}" for server in _SERVERS for secret in ("password", "token", "headers")
)

_TESTS: Final = re.compile(r"GUARD_(TEST_\w+|E2E_\w+|NO_SKIPS)")

# Kubernetes itself sets these in every pod beside a Service whose name begins with `guard`.
_SERVICE_LINK: Final = re.compile(
    r"GUARD_(\w+_)?(SERVICE_(HOST|PORT)(_\w+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)"
)
_LINK_URL: Final = re.compile(r"(tcp|udp|sctp)://.*")


@dataclass(frozen=True, slots=True)
class Variables:
    """Every `GUARD_…` variable that is set, and where."""

    values: Mapping[str, str]
    dotenv: Path
    in_process: frozenset[str]

    def problem(self, name: str, code: Code, words: tuple[str, str, str]) -> Problem:
        """A problem with a variable; `words` are what was found, expected, and what to do."""
        if name in self.in_process or name not in self.values:
            return Problem("environment", 0, name, code, *words)
        return Problem(str(self.dotenv), _line_of(name, self.dotenv), name, code, *words)


def load_settings(dotenv: Path = DOTENV) -> Settings:
    """Read the settings of this process.

    Raises:
        ConfigurationProblems: with everything that is wrong; never with a secret's value.
    """
    variables = _variables(dotenv)
    problems = [*_unknown(variables), *_conflicts(variables)]
    secrets, unread = _secrets(variables)
    settings, wrong = _settings(variables, secrets)
    problems += [*unread, *wrong]
    if problems or settings is None:
        raise ConfigurationProblems(problems)
    return settings


def _variables(dotenv: Path) -> Variables:
    try:
        stated = dotenv_values(dotenv) if dotenv.is_file() else {}
    except (OSError, UnicodeDecodeError):
        words = ("a file that cannot be read", "text in UTF-8", "check its rights and encoding")
        problem = Problem(str(dotenv), 0, "", Code.SETTING_FILE_UNREADABLE, *words)
        raise ConfigurationProblems([problem]) from None
    process = {name: text for name, text in os.environ.items() if name.startswith(PREFIX) and text}
    local = {name: text for name, text in stated.items() if name.startswith(PREFIX) and text}
    return Variables({**local, **process}, dotenv, frozenset(process))


def _known() -> list[str]:
    names = [PREFIX + field.upper() for field in Settings.model_fields]
    return names + [f"{PREFIX}{secret.upper()}_FILE" for secret in SECRETS]


def _unknown(variables: Variables) -> Iterator[Problem]:
    known = _known()
    for name, text in variables.values.items():
        linked = _SERVICE_LINK.fullmatch(name) or (
            name.endswith("_PORT") and _LINK_URL.fullmatch(text)
        )
        if name not in known and not linked and not _TESTS.fullmatch(name):
            words = ("an unknown variable", "one of docs/settings.md", closest(name, known))
            yield variables.problem(name, Code.SETTING_UNKNOWN, words)


def _conflicts(variables: Variables) -> Iterator[Problem]:
    values = variables.values
    for secret in SECRETS:
        name = PREFIX + secret.upper()
        if name in values and f"{name}_FILE" in values:
            words = (f"{name}_FILE too", "one of the two", f"unset {name}, keep the file")
            yield variables.problem(name, Code.SETTING_CONFLICT, words)
    for server in _SERVERS:
        yield from _signing_in(variables, f"{PREFIX}{server.upper()}")


def _signing_in(variables: Variables, server: str) -> Iterator[Problem]:
    """One way to sign in at a server, and a whole one."""
    values = variables.values
    token, user, password = (
        next((n for n in (name, f"{name}_FILE") if n in values), None)
        for name in (f"{server}_{part}" for part in ("TOKEN", "USERNAME", "PASSWORD"))
    )
    if token and (user or password):
        words = ("basic authentication too", "one way to sign in", "unset one of the two")
        yield variables.problem(token, Code.SETTING_CONFLICT, words)
    if bool(user) != bool(password):
        stated = user or password or ""
        other = f"{server}_" + ("PASSWORD_FILE" if user else "USERNAME")
        words = (f"no {other} beside it", "both or neither", f"set {other} as well")
        yield variables.problem(stated, Code.SETTING_INCOMPLETE, words)


def _secrets(variables: Variables) -> tuple[dict[str, str], list[Problem]]:
    """The secrets that stand in files, without the line break at their end."""
    secrets: dict[str, str] = {}
    problems = []
    for secret in SECRETS:
        name = f"{PREFIX}{secret.upper()}_FILE"
        if name not in variables.values:
            continue
        try:
            secrets[secret] = Path(variables.values[name]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
            words = (f"{variables.values[name]}: {reason}", "a readable file", "check the mount")
            problems.append(variables.problem(name, Code.SETTING_FILE_UNREADABLE, words))
    return secrets, problems


def _settings(
    variables: Variables, secrets: Mapping[str, str]
) -> tuple[Settings | None, list[Problem]]:
    stated = {
        field: variables.values[PREFIX + field.upper()]
        for field in Settings.model_fields
        if PREFIX + field.upper() in variables.values
    }
    try:
        return Settings.model_validate({**stated, **secrets}), []
    except ValidationError as error:
        details = error.errors(include_url=False, include_input=False)
        return None, [_invalid(variables, str(d["loc"][0]), d.get("ctx", {})) for d in details]


def _invalid(variables: Variables, field: str, context: Mapping[str, object]) -> Problem:
    name = PREFIX + field.upper()
    error = context.get("error")
    words = ("something else", Settings.model_fields[field].description or "", "correct it")
    if isinstance(error, Rejected):
        words = (error.found, error.expected, error.action)
    return variables.problem(name, Code.SETTING_INVALID, words)


def _line_of(name: str, dotenv: Path) -> int:
    pattern = re.compile(rf"\s*(export\s+)?{re.escape(name)}\s*=")
    lines = dotenv.read_text(encoding="utf-8").splitlines()
    return next((index for index, line in enumerate(lines, 1) if pattern.match(line)), 0)
