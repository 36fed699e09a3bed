"""The extension's own files, which the package carries: what `quantumflow install` installs.

A wheel has them as package data. In a checkout they are read from `extension/`, where `make build`
puts the script, so that there is one copy only.
"""

from __future__ import annotations

import re
from importlib import resources
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

_CONTROL = "quantumflow.control"
_UPGRADE = re.compile(r"quantumflow--(?P<start>.+)--(?P<end>.+)\.sql")


def version() -> str:
    """The version of the extension that this package installs, such as "0.4.0"."""
    found = re.search(r"^default_version\s*=\s*'(.+)'", control(), re.MULTILINE)
    assert found is not None, f"{_CONTROL} names no default_version"
    return found[1]


def control() -> str:
    """The text of quantumflow.control."""
    return (_folder() / _CONTROL).read_text("utf-8")


def script() -> str:
    """The script that installs the extension, as CREATE EXTENSION or as plain SQL.

    Raises:
        FileNotFoundError: In a checkout in which `make build` has not run.
    """
    file = _folder() / _script_name()
    try:
        return file.read_text("utf-8")
    except FileNotFoundError:
        raise FileNotFoundError(f"{file} has not been built: run 'make build'") from None


def upgrades() -> dict[str, str]:
    """The scripts that lead from one version to the next, by file name."""
    return {
        file.name: file.read_text("utf-8")
        for file in sorted(_folder().iterdir(), key=lambda file: file.name)
        if _UPGRADE.fullmatch(file.name)
    }


def upgrades_from(found: str) -> list[str]:
    """The scripts that lead from a version to this package's, in order; none if none do."""
    hops = {}
    for name, text in upgrades().items():
        hop = _UPGRADE.fullmatch(name)
        assert hop is not None
        hops[hop["start"]] = hop["end"], text
    scripts = []
    while found != version():
        if found not in hops:
            return []
        found, text = hops[found]
        scripts.append(text)
    return scripts


def files() -> dict[str, str]:
    """Every file that a PostgreSQL server needs in its extension folder, by file name."""
    return {_CONTROL: control(), _script_name(): script(), **upgrades()}


def _script_name() -> str:
    return f"quantumflow--{version()}.sql"


def _folder() -> Traversable:
    packaged = resources.files(__package__) / "extension"
    if packaged.is_dir():
        return packaged
    return Path(__file__).parents[3] / "extension"
