"""Carries the extension's files in the package, so that `quantumflow install` works offline.

The extension is built from ../extension, which is its only source. A wheel gets the files as
package data; a source archive gets them where a wheel built from it will pick them up. An editable
install gets no copy: quantumflow_client._extension reads the checkout.
"""

from __future__ import annotations

import re
import subprocess
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class ExtensionFiles(BuildHookInterface[Any]):
    """Assembles the extension and includes its files."""

    PLUGIN_NAME = "custom"

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Include the files, unless the build is editable or the source has them already."""
        package = Path(self.root, "src", "quantumflow_client")
        extension = Path(self.root).parent / "extension"
        if version == "editable" or (package / "extension").is_dir():
            return

        subprocess.run(["make", "-s", "-C", extension], check=True)
        control = extension / "quantumflow.control"
        found = re.search(r"^default_version = '(.+)'", control.read_text("utf-8"), re.MULTILINE)
        assert found is not None
        files = [control, extension / f"quantumflow--{found[1]}.sql"]
        files += sorted(extension.glob("quantumflow--*--*.sql"))

        into = "src/quantumflow_client" if self.target_name == "sdist" else "quantumflow_client"
        for file in files:
            build_data["force_include"][str(file)] = f"{into}/extension/{file.name}"
