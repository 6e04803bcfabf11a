"""SLO files from disk: read once, judged together, all of what is wrong at once."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path as FilePath
from typing import TYPE_CHECKING, Final

from guard.config import build, rules, target_labels
from guard.config.codes import UNREADABLE, Code
from guard.config.documents import Document, read_document
from guard.config.problems import ConfigurationProblems, Path, Problem, closest, cut, listed, show
from guard.config.translate import validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from guard.core.policy import Service

_SUFFIXES: Final = frozenset({".yaml", ".yml"})


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file's bytes, under the name that the person knows it by."""

    name: str
    content: bytes


@dataclass(frozen=True, slots=True)
class Loaded:
    """What a set of files came to: the services, or everything that is wrong.

    Attributes:
        services: of the files that are right, in the order of the files.
        problems: of all files, in the order of files and lines.
        files: how many files were read.
    """

    services: tuple[Service, ...]
    problems: tuple[Problem, ...]
    files: int = 0

    @property
    def unreadable(self) -> bool:
        """Something could not be read at all (exit status 2 of `guard check`)."""
        return any(problem.code in UNREADABLE for problem in self.problems)


def gather(paths: Iterable[FilePath]) -> tuple[list[SourceFile], list[Problem]]:
    """Read files, and the `*.yaml` and `*.yml` of folders (not of their subfolders).

    Hidden names are left out: a mounted ConfigMap keeps its former content in such folders. A file
    that is named twice, or stands in a folder that is named too, is read once.
    """
    files: list[SourceFile] = []
    problems: list[Problem] = []
    seen: set[str] = set()
    for path in paths:
        try:
            members = list(_members(path))
        except OSError as error:
            problems.append(_unreadable(path, error))
            continue
        for member in members:
            real = os.path.realpath(member)
            if real in seen:
                continue
            seen.add(real)
            try:
                content = _content(member, named=member == path)
                files.append(SourceFile(str(member), content))
            except OSError as error:
                problems.append(_unreadable(member, error))
    return files, problems


def parse(files: Sequence[SourceFile]) -> Loaded:
    """Judge all files together; the same bytes give the same answer."""
    problems: list[Problem] = []
    documents: list[Document] = []
    services: list[Service] = []
    for file in files:
        document, found = read_document(file.name, file.content)
        if document:
            model, wrong = validate(document)
            found += _once(
                [*rules.broken(document), *target_labels.broken(document), *wrong], found
            )
            documents.append(document)
            if model and not found:
                services.append(build.service(model, file.name))
        problems += found
    unread = {(p.file, p.path) for p in problems if p.code is Code.YAML_INVALID}
    between = (*_across(documents), *_dependencies(documents))
    problems += [p for p in between if (p.file, p.path) not in unread]
    order = {file.name: index for index, file in enumerate(files)}
    problems.sort(key=lambda problem: (order[problem.file], problem.line))
    wrong_files = {problem.file for problem in problems}
    right = tuple(service for service in services if service.path not in wrong_files)
    return Loaded(right, tuple(problems), len(files))


def load(paths: Iterable[FilePath]) -> Loaded:
    """Read and judge the SLO files at these paths."""
    files, unread = gather(paths)
    loaded = parse(files)
    return Loaded(loaded.services, (*unread, *loaded.problems), loaded.files)


def services(paths: Iterable[FilePath]) -> tuple[Service, ...]:
    """The services of these paths.

    Raises:
        ConfigurationProblems: with everything that is wrong.
    """
    loaded = load(paths)
    if loaded.problems:
        raise ConfigurationProblems(loaded.problems)
    return loaded.services


def _members(path: FilePath) -> Iterator[FilePath]:
    if not path.is_dir():
        yield path
        return
    for member in sorted(path.iterdir()):
        if member.suffix in _SUFFIXES and not member.name.startswith(".") and not member.is_dir():
            yield member


def _content(file: FilePath, *, named: bool) -> bytes:
    """A file's bytes.

    Raises:
        OSError: it cannot be read; or it is a pipe or device in a folder, whose reader would wait
            for ever (one that is named itself may be the shell's `<(…)`).
    """
    if not named and file.exists() and not file.is_file():
        raise OSError(0, "no regular file")
    return file.read_bytes()


def _unreadable(path: FilePath, error: OSError) -> Problem:
    words = (error.strerror or "an error", "a readable file or folder", "check path and rights")
    return Problem(str(path), 0, "", Code.PATH_UNREADABLE, *words)


def _once(problems: list[Problem], read: list[Problem]) -> list[Problem]:
    """Say of a value of the wrong type just that, once: a missing one has every other fault too.

    The same of a value that could not even be read, of which `read` tells.
    """
    mistyped = {problem.path for problem in read if problem.code is Code.YAML_INVALID}
    kept = []
    for problem in problems:
        if problem.path not in mistyped:
            kept.append(problem)
        if problem.code is Code.TYPE_WRONG:
            mistyped.add(problem.path)
    return kept


def _dependencies(documents: list[Document]) -> Iterator[Problem]:
    """What a service depends on is another service of these files."""
    services = (document.at("service") for document in documents)
    known = {name for name in services if isinstance(name, str) and name}
    for document in documents:
        own = document.at("service")
        for path, name in document.items("depends_on"):
            if name and name == own:
                words = ("the service itself", "another service", "remove it")
                yield document.problem(path, Code.DEPENDENCY_ITSELF, words)
            elif isinstance(name, str) and name and name not in known:
                others = sorted(known - {own})
                expected = f"one of {listed(others)}" if others else "another file's service"
                action = closest(name, others) if others else "check the whole folder"
                words = (show(name), expected, action)
                yield document.problem(path, Code.DEPENDENCY_UNKNOWN, words)


def _across(documents: list[Document]) -> Iterator[Problem]:
    """What two files, or two places of one, claim both."""
    claims: dict[tuple[Code, str], list[tuple[Document, Path]]] = defaultdict(list)
    for document in documents:
        name = document.at("service")
        if isinstance(name, str) and name:
            claims[Code.SERVICE_DUPLICATE, name].append((document, ("service",)))
        for path, workload in rules.workloads(document):
            claims[Code.WORKLOAD_DUPLICATE, workload].append((document, path))
    for (code, name), places in claims.items():
        first, *others = places
        for document, path in others:
            found = f"{cut(name)} again (first in {first[0].file}:{first[0].line(first[1])})"
            words = (found, "each in one file, once", "remove one of the two")
            yield document.problem(path, code, words)
