"""Fetches pgTAP 1.3.5, which npm carries as plain SQL, into a folder: fetch_pgtap.py FOLDER."""

from __future__ import annotations

import hashlib
import io
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "@electric-sql/pglite-pgtap@0.0.15"
FILES = {
    "pgtap.control": "4aadce7868f7c73e5fecafd46107e310cde7aaf94974d7b7216cd460a8e05f8f",
    "pgtap--1.3.5.sql": "92ee8ada9672e6201105a78614be8d07b8a76e5c17c85b42c279f6e48c84da68",
}


def main(folder: Path) -> None:
    """Fetch the package, take the two files out, and refuse others than those that were chosen."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as temporary:
        command = ["npm", "pack", "--silent", "--pack-destination", temporary, PACKAGE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(temporary).glob("*.tgz")
        with tarfile.open(package) as outer:
            inner = outer.extractfile("package/dist/pgtap.tar.gz")
            assert inner is not None
            content = io.BytesIO(inner.read())

    found = {}
    with tarfile.open(fileobj=content) as archive:
        for member in archive:
            name = Path(member.name).name
            file = archive.extractfile(member) if name in FILES else None
            if file is not None:
                found[name] = file.read()

    for name, expected in FILES.items():
        actual = hashlib.sha256(found[name]).hexdigest()
        if actual != expected:
            sys.exit(f"{PACKAGE}: {name} has the SHA-256 {actual}, not {expected}")
    folder.mkdir(exist_ok=True)
    for name in reversed(FILES):  # the control file last: it is what make looks for
        (folder / name).write_bytes(found[name])


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    main(target)
