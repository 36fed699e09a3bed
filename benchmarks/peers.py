"""The peers, from their package registries at fixed versions, below .cache, when asked for."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tarfile
from functools import cache
from pathlib import Path

from support.meter.server import CACHE

VERSIONS = {
    "@pgflow/core": "0.8.1",
    "absurdctl": "0.5.1",
    "absurd-sdk": "0.5.1",
    "dbos": "3.4.0",
    "procrastinate": "3.10.0",
    "pgqueuer": "1.6.0",
}
"""The newest in the registries when this was written; what each needs besides is left to pip."""

_BESIDES = {
    "absurd-sdk": ["psycopg[binary]==3.3.9"],
    "dbos": ["psycopg[binary]==3.3.9"],
    "procrastinate": ["psycopg[binary]==3.3.9"],
    "pgqueuer": ["psycopg[binary]==3.3.9", "asyncpg==0.31.0"],
}


class UnavailableError(Exception):
    """A peer cannot be installed here; the message says why."""


@cache
def npm(package: str) -> Path:
    """The folder of an unpacked npm package.

    Raises:
        UnavailableError: There is no npm, or no registry.
    """
    name = package.removeprefix("@").replace("/", "-")
    folder = CACHE / "peers" / f"{name}-{VERSIONS[package]}"
    if not (folder / "package").exists():
        if shutil.which("npm") is None:
            raise UnavailableError(f"{package}: npm is not installed")
        folder.mkdir(parents=True, exist_ok=True)
        what = f"{package}@{VERSIONS[package]}"
        _run("npm", "pack", what, "--silent", "--pack-destination", str(folder))
        (archive,) = folder.glob("*.tgz")
        with tarfile.open(archive) as tar:
            tar.extractall(folder, filter="data")
    return folder / "package"


@cache
def python(package: str) -> Path:
    """The interpreter of a virtual environment that has a package.

    Raises:
        UnavailableError: pip could not install it.
    """
    folder = CACHE / "peers" / f"{package}-{VERSIONS[package]}"
    program = folder / "bin" / "python"
    ready = folder / "ready"
    if not ready.exists():
        shutil.rmtree(folder, ignore_errors=True)
        _run(sys.executable, "-m", "venv", str(folder))
        wanted = [f"{package}=={VERSIONS[package]}", *_BESIDES.get(package, [])]
        _run(str(program), "-m", "pip", "install", "-qq", "--disable-pip-version-check", *wanted)
        ready.touch()
    return program


@cache
def absurd_schema() -> str:
    """The SQL that absurdctl installs.

    Raises:
        UnavailableError: It could not be installed.
    """
    return _run(
        str(python("absurdctl")), "-c", "import absurdctl; print(absurdctl.BUNDLED_SCHEMA_SQL)"
    )


def _run(*command: str) -> str:
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode != 0:
        reason = done.stderr.strip().splitlines()[-1:] or ["no message"]
        raise UnavailableError(f"{' '.join(command[-3:])}: {reason[0]}")
    return done.stdout
