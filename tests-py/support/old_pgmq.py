"""An older pgmq than the one that the client carries: what others may have installed."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import zipfile

from .server import REPOSITORY

VERSION = "1.11.1"

_WHEEL = "pgmq-1.1.3-py3-none-any.whl"
_SHA256 = "d854e477a94d446af50dbc56a3bb01e8c4c38a7ec6c562bf5acae2f0802743d7"


def old_pgmq_script() -> str:
    """The SQL of pgmq 1.11.1, from PyPI's package; kept below .cache."""
    folder = REPOSITORY / ".cache" / "pgmq"
    wheel = folder / _WHEEL
    if not wheel.exists():
        pip = [sys.executable, "-m", "pip", "download", "-qqq", "--disable-pip-version-check"]
        subprocess.run([*pip, "--no-deps", "--dest", folder, "pgmq==1.1.3"], check=True)
    content = wheel.read_bytes()
    assert hashlib.sha256(content).hexdigest() == _SHA256
    with zipfile.ZipFile(wheel) as archive:
        assert archive.read("pgmq/sql/pgmq.sql.version").decode().strip() == VERSION
        return archive.read("pgmq/sql/pgmq.sql").decode()
