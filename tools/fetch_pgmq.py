"""Puts another version of pgmq where the tests find it: fetch_pgmq.py VERSION FOLDER, for make test-pgmq.

Its SQL is that of the Python package pgmq, or of the stand-in beside the SQL tests.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

FIXTURES = Path(__file__).parents[1] / "tests-sql" / "fixtures"
# By pgmq's version: the package's version, and the SHA-256 of its wheel.
PACKAGES = {
    "1.11.1": ("1.1.3", "d854e477a94d446af50dbc56a3bb01e8c4c38a7ec6c562bf5acae2f0802743d7"),
}


def main(version: str, folder: Path) -> None:
    """Write the script and the control file."""
    script = FIXTURES / f"pgmq--{version}.sql"
    text = script.read_text("utf-8") if script.exists() else fetched(version)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / f"pgmq--{version}.sql").write_text(text, "utf-8")
    control = ["comment = 'a lightweight message queue'", f"default_version = '{version}'"]
    control += ["schema = 'pgmq'", "relocatable = false", "superuser = false"]
    (folder / "pgmq.control").write_text("\n".join([*control, ""]), "utf-8")


def fetched(version: str) -> str:
    """The SQL of a version, from the package that has it."""
    package, digest = PACKAGES[version]
    with tempfile.TemporaryDirectory() as temporary:
        wanted = Path(temporary, "requirements.txt")
        wanted.write_text(f"pgmq=={package} --hash=sha256:{digest}\n")
        command = [sys.executable, "-m", "pip", "download", "-qq", "--disable-pip-version-check"]
        command += ["--no-deps", "--only-binary", ":all:", "--dest", temporary, "-r", str(wanted)]
        subprocess.run(command, check=True)
        (wheel,) = Path(temporary).glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            found = archive.read("pgmq/sql/pgmq.sql.version").decode().strip()
            assert found == version, f"pgmq=={package} has {found}"
            return archive.read("pgmq/sql/pgmq.sql").decode()


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]).absolute())
