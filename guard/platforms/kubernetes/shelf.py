"""What is kept of one resource: the wanted objects, reduced, and whose others were let pass.

Everything else is dropped as it comes. That an owner's objects were let pass is remembered, so
that they are listed anew once somebody wants them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar

import msgspec
import structlog

from guard.platforms.kubernetes.objects import Head, HeadMeta

if TYPE_CHECKING:
    from collections.abc import Collection

log = structlog.get_logger("guard.kubernetes.shelf")


class Kept(Protocol):
    """A reduced object."""

    @property
    def uid(self) -> str:
        """Its own uid."""

    @property
    def owner(self) -> str:
        """The key of what it belongs to."""


T = TypeVar("T", bound=Kept)


class Shelf(ABC, Generic[T]):
    """Keeps one resource; a `watch.Sink`."""

    def __init__(self) -> None:
        """Start empty."""
        self.items: dict[str, T] = {}
        self.passed: set[str] = set()
        self._by_owner: dict[str, dict[str, T]] = {}
        self._listing: dict[str, T] = {}
        self._passing: set[str] | None = None

    @abstractmethod
    def owner(self, head: Head) -> str | None:
        """The key of what an object belongs to; None where it is of no interest to anybody."""

    @abstractmethod
    def wants(self, head: Head) -> bool:
        """Whether an object is wanted now."""

    @abstractmethod
    def reduce(self, raw: msgspec.Raw, head: Head, /) -> T:
        """Read an object."""

    @abstractmethod
    def changed(self, old: T | None, new: T | None) -> None:
        """An object appeared, changed or went."""

    @abstractmethod
    def listed(self) -> None:
        """A whole list was taken in."""

    def of(self, owner: str) -> Collection[T]:
        """What belongs to an owner."""
        return self._by_owner.get(owner, {}).values()

    def let_pass(self, owner: str) -> bool:
        """Whether objects of this owner were seen and not kept."""
        return owner in self.passed or owner in (self._passing or ())

    def drop(self, owner: str) -> None:
        """Keep an owner's objects no longer."""
        for item in tuple(self.of(owner)):
            self.passed.add(owner)
            self._set(item.uid, None)

    # Taking in.

    def begin(self) -> None:
        """A list begins."""
        self._listing, self._passing = {}, set()

    def add(self, raw: msgspec.Raw) -> None:
        """One object of the list."""
        uid, item = self._read(raw)
        if item is not None:
            self._listing[uid] = item

    def finish(self) -> None:
        """The list is whole: what it did not hold is gone."""
        listing, self._listing = self._listing, {}
        self.passed, self._passing = self._passing or set(), None
        for uid in self.items.keys() - listing.keys():
            self._set(uid, None)
        for uid, item in listing.items():
            self._set(uid, item)
        self.listed()

    def put(self, raw: msgspec.Raw) -> None:
        """One object is new or changed."""
        self._set(*self._read(raw))

    def remove(self, raw: msgspec.Raw) -> None:
        """One object was deleted."""
        head = _decoded(raw)
        if head is not None:
            self._set(head.metadata.uid, None)

    def _read(self, raw: msgspec.Raw) -> tuple[str, T | None]:
        head = _decoded(raw)
        if head is None:
            return "", None
        uid, owner = head.metadata.uid, self.owner(head)
        if owner is None:
            return uid, None
        if not self.wants(head):
            passed = self.passed if self._passing is None else self._passing
            passed.add(owner)
            return uid, None
        try:
            return uid, self.reduce(raw, head)
        except msgspec.DecodeError as error:
            _not_understood(head, error)
            return uid, None

    def _set(self, uid: str, new: T | None) -> None:
        old = self.items.get(uid)
        if new == old:
            return
        if old is not None:
            self._forget(old)
        if new is not None:
            self.items[uid] = new
            self._by_owner.setdefault(new.owner, {})[uid] = new
        self.changed(old, new)

    def _forget(self, old: T) -> None:
        del self.items[old.uid]
        others = self._by_owner[old.owner]
        del others[old.uid]
        if not others:
            del self._by_owner[old.owner]


def _decoded(raw: msgspec.Raw) -> Head | None:
    try:
        return msgspec.json.decode(raw, type=Head)
    except msgspec.DecodeError as error:
        _not_understood(Head(metadata=HeadMeta()), error)
        return None


def _not_understood(head: Head, error: msgspec.DecodeError) -> None:
    """Say it and go on: one odd object must not blind the guard to all others."""
    log.error(
        "object not understood, it is passed over",
        namespace=head.metadata.namespace,
        name=head.metadata.name,
        why=str(error),  # types and field names, no values
    )
