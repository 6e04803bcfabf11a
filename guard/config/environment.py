"""The environment, read once: which variables there are, and what is wrong with them.

The one place that looks at `os.environ`, `.env` and the files that hold secrets.
"""

from __future__ import annotations

import io
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from dotenv import dotenv_values
from dotenv.parser import parse_stream
from pydantic import ValidationError

from guard.config.codes import Code
from guard.config.problems import ConfigurationProblems, Problem, Rejected, cut, near
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
    """Every `GUARD_…` variable that is set, and where; `text` is the local file's."""

    values: Mapping[str, str]
    dotenv: Path
    in_process: frozenset[str]
    text: str

    def problem(self, name: str, code: Code, words: tuple[str, str, str]) -> Problem:
        """A problem with a variable; `words` are what was found, expected, and what to do."""
        if name in self.in_process or name not in self.values:
            return Problem("environment", 0, name, code, *words)
        return Problem(str(self.dotenv), _line_of(name, self.text), name, code, *words)


def load_settings(dotenv: Path = DOTENV) -> Settings:
    """Read the settings of this process.

    Raises:
        ConfigurationProblems: with everything that is wrong; never with a secret's value.
    """
    text = _text(dotenv)
    variables = _variables(dotenv, text)
    problems = [*_unread_lines(dotenv, text), *_unknown(variables), *_conflicts(variables)]
    secrets, unread = _secrets(variables)
    settings, wrong = _settings(variables, secrets)
    problems += [*unread, *wrong]
    if problems or settings is None:
        raise ConfigurationProblems(problems)
    return settings


def _text(dotenv: Path) -> str:
    """The local file's text, empty where there is none.

    Raises:
        ConfigurationProblems: it is there and cannot be read: a folder, as Docker makes of a mount
            of nothing, a link to nowhere, or no text.
    """
    try:
        return dotenv.read_text(encoding="utf-8-sig")
    except FileNotFoundError as error:
        if not dotenv.is_symlink():
            return ""
        reason = error.strerror
    except OSError as error:
        reason = error.strerror
    except UnicodeDecodeError:
        reason = "no text in UTF-8"
    words = (reason or "an error", "a file of text in UTF-8", "mend or remove it")
    problem = Problem(str(dotenv), 0, "", Code.SETTING_FILE_UNREADABLE, *words)
    raise ConfigurationProblems([problem])


def _unread_lines(dotenv: Path, text: str) -> Iterator[Problem]:
    """Lines that set nothing although they look it. No line is shown: it may hold a secret."""
    for binding in parse_stream(io.StringIO(text)):
        name = binding.key or ""
        if binding.error:
            name, found = "", "a line that cannot be read"
        elif name.startswith(PREFIX) and binding.value is None:
            found = "a name without a value"
        else:
            continue
        start = binding.original.string
        line = binding.original.line + start[: len(start) - len(start.lstrip())].count("\n")
        words = (found, "NAME=value, or # before a comment", "mend the line or remove it")
        yield Problem(str(dotenv), line, name, Code.SETTING_INVALID, *words)


def _variables(dotenv: Path, text: str) -> Variables:
    stated = dotenv_values(stream=io.StringIO(text))
    process = {name: held for name, held in os.environ.items() if name.startswith(PREFIX) and held}
    local = {name: held for name, held in stated.items() if name.startswith(PREFIX) and held}
    return Variables({**local, **process}, dotenv, frozenset(process), text)


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
            words = ("an unknown variable", "one of docs/settings.md", _meant(name, known))
            yield variables.problem(name, Code.SETTING_UNKNOWN, words)


def _meant(name: str, known: list[str]) -> str:
    """What to do about an unknown name; what all names begin with makes none of them close."""
    word = near(name.removeprefix(PREFIX), [one.removeprefix(PREFIX) for one in known])
    return f"did you mean {PREFIX + word!r}?" if word else "remove it, or use a name of that page"


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
            text = Path(variables.values[name]).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
            found = f"{cut(variables.values[name])}: {reason}"
            words = (found, "a readable file", "check the mount")
            problems.append(variables.problem(name, Code.SETTING_FILE_UNREADABLE, words))
            continue
        if not text:
            words = ("an empty file", "the secret in it", "write it, or unset the variable")
            problems.append(variables.problem(name, Code.SETTING_INVALID, words))
            continue
        secrets[secret] = text
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
    if f"{name}_FILE" in variables.values:
        name += "_FILE"  # it is the one that was read, where both are set
    error = context.get("error")
    words = ("something else", Settings.model_fields[field].description or "", "correct it")
    if isinstance(error, Rejected):
        words = (error.found, error.expected, error.action)
    return variables.problem(name, Code.SETTING_INVALID, words)


def _line_of(name: str, text: str) -> int:
    pattern = re.compile(rf"\s*(export\s+)?{re.escape(name)}\s*=")
    return next(
        (index for index, line in enumerate(text.splitlines(), 1) if pattern.match(line)), 0
    )
