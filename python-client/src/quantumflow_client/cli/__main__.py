"""Makes `python -m quantumflow_client.cli` the command `quantumflow`."""

from . import main

main(prog_name="quantumflow")
