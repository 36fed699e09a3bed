"""Runs cells in a kernel of Jupyter, and prints what went wrong: python notebook_cells.py FILE.

FILE is JSON: an array of cells. For an environment that has jupyter_client and ipykernel.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from jupyter_client.manager import start_new_kernel


def main() -> int:
    manager, client = start_new_kernel(kernel_name="python3")
    try:
        for cell in json.loads(Path(sys.argv[1]).read_text("utf-8")):
            answer = client.execute_interactive(cell, timeout=120, allow_stdin=False)
            if answer["content"]["status"] != "ok":
                print(cell, *answer["content"]["traceback"], sep="\n", file=sys.stderr)
                return 1
    finally:
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
