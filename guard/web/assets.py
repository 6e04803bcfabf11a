"""Templates and static files: package data, read once when this module is imported.

The event loop is then never held up by a disk, and a file that is missing stops the guard at
its start and not in the night.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

import jinja2

from guard.core import quantities

TYPES: Final = {
    "css": "text/css",
    "js": "text/javascript",
    "svg": "image/svg+xml",
}


@dataclass(frozen=True, slots=True)
class Asset:
    """One static file; `tag` is the hash of its body."""

    body: bytes
    content_type: str
    tag: str


def _assets() -> dict[str, Asset]:
    found = {}
    for file in files("guard.web").joinpath("static").iterdir():
        suffix = file.name.rpartition(".")[2]
        if suffix in TYPES:
            body = file.read_bytes()
            tag = hashlib.sha256(body).hexdigest()[:16]
            found[file.name] = Asset(body, TYPES[suffix], tag)
    return found


def _sources() -> dict[str, str]:
    folder = files("guard.web").joinpath("templates")
    return {file.name: file.read_text("utf-8") for file in folder.iterdir()}


ASSETS: Final = _assets()


def _environment() -> jinja2.Environment:
    environment = jinja2.Environment(
        loader=jinja2.DictLoader(_sources()),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        auto_reload=False,
    )
    for name in ("clock", "day", "iso", "ago"):
        environment.filters[name] = getattr(quantities, name)
    return environment


_ENVIRONMENT: Final = _environment()
TEMPLATES: Final = {name: _ENVIRONMENT.get_template(name) for name in _ENVIRONMENT.list_templates()}
