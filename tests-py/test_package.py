"""The package carries the extension as it is built."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from quantumflow_client import _extension
from support.server import REPOSITORY, build_extension

CLIENT = REPOSITORY / "python-client"
EXTENSION = REPOSITORY / "extension"


@pytest.fixture(scope="module")
def archives(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """A wheel and a source archive."""
    folder = tmp_path_factory.mktemp("archives")
    command: list[str | Path] = [sys.executable, "-m", "hatchling", "build", "-d", folder]
    subprocess.run(command, check=True, cwd=CLIENT, capture_output=True)
    (wheel,) = folder.glob("*.whl")
    (source,) = folder.glob("*.tar.gz")
    return wheel, source


def built() -> dict[str, bytes]:
    build_extension()
    names = ["quantumflow.control", f"quantumflow--{_extension.version()}.sql"]
    upgrades = sorted(EXTENSION.glob("quantumflow--*--*.sql"))
    return {file.name: file.read_bytes() for file in (*(EXTENSION / n for n in names), *upgrades)}


def carried(wheel: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(wheel) as archive:
        return {
            Path(name).name: archive.read(name)
            for name in archive.namelist()
            if name.startswith("quantumflow_client/extension/")
        }


def test_a_checkout_gives_the_files_that_are_built() -> None:
    assert {name: text.encode() for name, text in _extension.files().items()} == built()


def test_a_wheel_carries_the_files_that_are_built(archives: tuple[Path, Path]) -> None:
    assert carried(archives[0]) == built()


def test_a_wheel_made_from_the_source_archive_carries_them_too(
    archives: tuple[Path, Path], tmp_path: Path
) -> None:
    subprocess.run(["tar", "-xzf", archives[1], "-C", tmp_path], check=True)
    (folder,) = tmp_path.iterdir()
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "hatchling",
        "build",
        "-t",
        "wheel",
        "-d",
        tmp_path,
    ]
    subprocess.run(command, check=True, cwd=folder, capture_output=True)
    (wheel,) = tmp_path.glob("*.whl")
    assert carried(wheel) == built()


def test_only_what_has_an_extra_needs_what_that_brings(archives: tuple[Path, Path]) -> None:
    with zipfile.ZipFile(archives[0]) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        needed = re.findall(r"^Requires-Dist: (.*)$", archive.read(name).decode(), re.MULTILINE)
    of_extras = [what for what in needed if "extra == " in what]
    bare = {re.split(r"\W", what)[0] for what in needed if what not in of_extras}
    assert bare == {"click", "psycopg"}
    of_pages = {what.partition("; ")[2] for what in of_extras if what.startswith("jinja2")}
    assert of_pages == {"extra == 'demo'", "extra == 'web'"}

    program = """if True:
        import pkgutil, sys
        import quantumflow_client
        for name in ("jinja2", "markupsafe", "starlette", "uvicorn", "opentelemetry"):
            sys.modules[name] = None  # importing it fails
        parts = ("demo.", "page.", "web.", "otel", "llm")
        extras = tuple(f"quantumflow_client.{name}" for name in parts)
        for module in pkgutil.walk_packages(quantumflow_client.__path__, "quantumflow_client."):
            if not module.name.startswith(extras) and "__" not in module.name:
                __import__(module.name)
    """
    subprocess.run([sys.executable, "-c", program], check=True)


def test_an_installed_wheel_gives_its_own_copy(archives: tuple[Path, Path], tmp_path: Path) -> None:
    with zipfile.ZipFile(archives[0]) as archive:
        archive.extractall(tmp_path)
    program = """if True:
        from quantumflow_client import _extension
        print(_extension.__file__)
        print(_extension.script(), end="")
    """
    done = subprocess.run(
        [sys.executable, "-c", program],
        check=True,
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
    )
    place, _, script = done.stdout.partition("\n")
    assert Path(place).is_relative_to(tmp_path)
    assert script == _extension.script()


def test_without_libpq_it_says_what_to_install() -> None:
    done = subprocess.run(
        [sys.executable, "-c", "import quantumflow_client"],
        check=False,
        capture_output=True,
        text=True,
        env=os.environ | {"PSYCOPG_IMPL": "c"},  # which is not installed
    )
    assert done.returncode == 1
    assert "pip install 'psycopg[binary]'" in done.stderr.splitlines()[-1]


def test_the_script_can_be_both_an_extension_and_plain_sql() -> None:
    script = _extension.script()
    assert not re.search(r"^\\", script, re.MULTILINE), "a psql command, \\quit perhaps"
    assert not re.search(r"create or replace|if not exists (?!\()", script), (
        "would adopt another's object"
    )


def test_every_function_says_how_volatile_it_is() -> None:
    heads = re.findall(
        r"^create function (.+?)^(?:as|begin|return)\b",
        _extension.script(),
        re.DOTALL | re.MULTILINE,
    )
    assert heads
    silent = [
        head.split("(")[0]
        for head in heads
        if not re.search(r"^(volatile|stable|immutable)\b", head, re.MULTILINE)
    ]
    assert silent == []
