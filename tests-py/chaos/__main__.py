"""make chaos: python -m chaos [--seed N] [--tasks N]."""

from __future__ import annotations

import argparse
import random
import sys

from chaos.conductor import Plan, run

_FAULTS = {
    "kill": 6,
    "stall": 2,
    "end": 2,
    "terminate": 6,
    "restart": 1,
    "cut": 12,
    "reset": 2,
    "swallow": 2,
    "blackout": 1,
    "drop": 1,
    "hurry": 1,
    "deafen": 1,
}


def main() -> int:
    parser = argparse.ArgumentParser(description="Work while everything breaks; see what is left.")
    parser.add_argument("--seed", type=int, default=random.randrange(10**6))
    parser.add_argument("--tasks", type=int, default=100_000)
    given = parser.parse_args()
    plan = Plan(
        seed=given.seed,
        tasks=given.tasks,
        workers=4,
        concurrency=25,
        lease=5,
        faults=_FAULTS,
        pause=0.7,
    )
    print(f"seed {plan.seed}, at least {plan.tasks:,} tasks", flush=True)
    report = run(plan, lambda text: print(text, flush=True))
    print(report)
    return 1 if report.problems else 0


if __name__ == "__main__":
    sys.exit(main())
