"""Fetches axe-core, the accessibility checker, from npm: fetch_axe.py FILE."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

PACKAGE = "axe-core@4.14.1"
SHA256 = "29348999450cdf2849a8e70b7912fc2da85a849da39c0d0d5394f51d4a9ed95c"


def main(file: Path) -> None:
    """Fetch the package, take the script out, and refuse another than the one that was chosen."""
    with tempfile.TemporaryDirectory(dir=file.parent) as temporary:
        command = ["npm", "pack", "--silent", "--pack-destination", temporary, PACKAGE]
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        (package,) = Path(temporary).glob("*.tgz")
        with tarfile.open(package) as archive:
            script = archive.extractfile("package/axe.min.js")
            assert script is not None
            content = script.read()
    actual = hashlib.sha256(content).hexdigest()
    if actual != SHA256:
        sys.exit(f"{PACKAGE}: axe.min.js has the SHA-256 {actual}, not {SHA256}")
    file.write_bytes(content)


if __name__ == "__main__":
    target = Path(sys.argv[1]).absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    main(target)
