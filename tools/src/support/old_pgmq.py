"""Older pgmqs than the one that the client carries: what others may have installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile
from pathlib import Path

_REPOSITORY = Path(__file__).parents[3]

VERSION = "1.11.1"

_WHEEL = "pgmq-1.1.3-py3-none-any.whl"
_SHA256 = "d854e477a94d446af50dbc56a3bb01e8c4c38a7ec6c562bf5acae2f0802743d7"


def old_pgmq_script(version: str = VERSION) -> str:
    """The SQL of pgmq 1.11.1, from PyPI's package, or of the stand-in for 1.5.1, which has none."""
    fixture = _REPOSITORY / "tests-sql" / "fixtures" / f"pgmq--{version}.sql"
    if fixture.exists():
        return fixture.read_text("utf-8")
    folder = _REPOSITORY / ".cache" / "pgmq"
    wheel = folder / _WHEEL
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "-qqq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--dest", folder, "pgmq==1.1.3"], check=True)
    content = wheel.read_bytes()
    assert hashlib.sha256(content).hexdigest() == _SHA256
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("pgmq/sql/pgmq.sql.version").decode().strip() == version
        return archive.read("pgmq/sql/pgmq.sql").decode()


def old_pgmq_files(version: str) -> list[Path]:
    """The extension's files, kept below .cache: CREATE EXTENSION pgmq is this version with them."""
    script = old_pgmq_script(version)
    folder = _REPOSITORY / ".cache" / "pgmq" / version
    folder.mkdir(parents=True, exist_ok=True)
    control = f"default_version = '{version}'\nschema = 'pgmq'\nrelocatable = false\n"
    texts = {"pgmq.control": f"{control}superuser = false\n", f"pgmq--{version}.sql": script}
    for name, text in texts.items():
        (folder / name).write_text(text, "utf-8")
    return [folder / name for name in texts]
