"""What the command line names: JSON, files, Python objects."""

from __future__ import annotations

import importlib
import importlib.util
import json
import sys
import traceback
from collections.abc import Mapping
from functools import reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from quantumflow_client.flow import Flow

if TYPE_CHECKING:
    from quantumflow_client._json import Json


def json_of(text: str) -> Json:
    """The value of an argument: JSON itself, `-` for the standard input, or `@file`.

    Raises:
        click.ClickException: It cannot be read, or is no JSON.
    """
    if text == "-":
        return _decoded(_read("-"), "the standard input")
    if text.startswith("@"):
        return _decoded(_read(text[1:]), text[1:])
    return _decoded(text, "INPUT")


def is_definition(source: str) -> bool:
    """Whether an argument names a definition, not a workflow in the database."""
    return ":" in source or source == "-" or source.endswith(".json") or Path(source).is_file()


def definition_of(source: str) -> Json:
    """The definition that an argument names: a JSON file, `-`, or module:object.

    Raises:
        click.ClickException: There is none.
    """
    if ":" not in source or Path(source).is_file():
        return _decoded(_read(source), source)
    found = object_of(source)
    if isinstance(found, Flow):
        return found.definition()
    if isinstance(found, Mapping):
        return found
    raise click.UsageError(f"{source} is a {type(found).__name__}, not a Flow")


def object_of(source: str) -> Any:
    """The Python object that `module:object` names, with the current folder to be imported from.

    Raises:
        click.ClickException: There is none, or the module cannot be imported.
    """
    module_name, _, path = source.partition(":")
    if not module_name or module_name.startswith(".") or not path:
        raise click.UsageError(f"{source!r} is not MODULE:OBJECT, such as app:client for app.py")
    if "" not in sys.path and str(Path.cwd()) not in sys.path:
        sys.path.insert(0, str(Path.cwd()))
        importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{module_name}.".startswith(f"{error.name}."):
            raise _unimportable(module_name, error) from error
        raise click.UsageError(f"there is no module {error.name!r}, here or installed") from error
    except Exception as error:
        raise _unimportable(module_name, error) from error
    try:
        return reduce(getattr, path.split("."), module)
    except AttributeError as error:
        raise click.UsageError(f"module {module_name!r} has no {path!r}") from error


def _unimportable(module_name: str, error: Exception) -> click.UsageError:
    """What a module raised when it was imported, and where."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f"{frames[-1].filename}, line {frames[-1].lineno}"
    if isinstance(error, SyntaxError) and error.filename is not None:
        place = f"{error.filename}, line {error.lineno}"
    said = f"{type(error).__name__}: {error.msg if isinstance(error, SyntaxError) else error}"
    return click.UsageError(f"module {module_name!r} cannot be imported: {said} ({place})")


def _read(name: str) -> str:
    try:
        with click.open_file(name, encoding="utf-8") as file:
            return str(file.read())
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise click.UsageError(f"cannot read {name!r}: {reason}") from error


def _decoded(text: str, what: str) -> Json:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        raise click.UsageError(f"{what} is not JSON: {error}") from error
