"""Makes the pictures of docs/web.md: runs on an embedded PostgreSQL, in a real browser."""

from __future__ import annotations

import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from quantumflow_client import Client, Flow, PermanentError
from support import browser
from support.server import REPOSITORY, build_extension, throwaway_server

PICTURES = REPOSITORY / "docs" / "web"

ORDER = Flow("order", title="Order handling", max_attempts=3, retry_delay=1)
REPORT = Flow("report", title="The nightly report")


@ORDER.step
def validate(run: dict[str, Any]) -> dict[str, Any]:
    """What is ordered, if it can be."""
    time.sleep(0.2)
    if run["amount"] > 1000:
        raise PermanentError(f"order {run['order']}: the card was declined for {run['amount']} EUR")
    return {"parts": [f"part {n}" for n in range(run["parts"])]}


@ORDER.step(depends_on=[validate])
def parts(validate: dict[str, Any]) -> list[str]:
    """Its parts."""
    found: list[str] = validate["parts"]
    return found


@ORDER.map(over=parts)
def pack(item: str, index: int, ctx: Any) -> str:
    """Pack a part; the shelf of one is stuck at first."""
    time.sleep(0.15 + (index * 7 % 5) / 8)
    if index % 9 == 4 and ctx.attempt == 1:
        raise TimeoutError(f"the shelf of {item} does not answer")
    return item


@ORDER.step(depends_on=[validate])
def invoice() -> str:
    """An invoice."""
    time.sleep(0.8)
    return "2030-17"


approval = ORDER.wait_for("approval", signal="approved", depends_on=[pack], timeout=86400)


@ORDER.step(depends_on=[approval, invoice])
def ship() -> str:
    """Ship it."""
    time.sleep(0.4)
    return "shipped"


@REPORT.step
def collect() -> int:
    """What there is to report."""
    time.sleep(0.3)
    return 7


_ELSEWHERE = """
    const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
    while (walk.nextNode()) {
      walk.currentNode.data = walk.currentNode.data.replaceAll(arguments[0], arguments[1]);
    }
"""
"""Where this clone is, is nobody's business."""


def play(client: Client) -> tuple[Any, Any, Any]:
    """A run that completed, one that failed, one that waits to be approved."""
    client.deploy(ORDER)
    client.deploy(REPORT)
    client.schedule("nightly", "report", "0 3 * * *", time_zone="UTC")
    runs = [
        client.start_flow("order", {"order": n, "amount": amount, "parts": count})
        for n, (amount, count) in enumerate([(42, 24), (1700, 3), (99, 12)], 17)
    ]
    client.start_flow("report", {})
    workers = [
        threading.Thread(
            target=client.poll_and_run, kwargs={"concurrency": 4, "name": f"worker {n}"}
        )
        for n in (1, 2)
    ]
    for worker in workers:
        worker.start()
    deadline = time.monotonic() + 60
    while len(client.waits()) < 2 and time.monotonic() < deadline:
        time.sleep(0.1)
    client.signal(runs[0], "approved", {"by": "ann"})
    client.wait(runs[0], 30)
    return runs[0], runs[1], runs[2]


def main() -> None:
    """Make them."""
    if not browser.is_there():
        sys.exit(browser.MISSING)
    build_extension()
    with throwaway_server("embedded") as server, tempfile.TemporaryDirectory():
        dsn = server.create_database("pictures")
        client = Client(dsn)
        done, failed, waiting = play(client)
        with browser.browser() as driver, browser.Site(dsn) as site:
            site.enter(driver)
            for name, path, size, dark in (
                ("overview", "/", browser.WIDE, False),
                ("run", f"/runs/{done}", browser.WIDE, False),
                ("run-dark", f"/runs/{done}", browser.WIDE, True),
                ("run-phone", f"/runs/{done}", browser.PHONE, False),
                ("failure", f"/runs/{failed}", browser.WIDE, False),
                ("wait", "/waits", browser.WIDE, False),
                ("waiting", f"/runs/{waiting}", browser.PHONE, True),
            ):
                browser.look(driver, size, dark=dark)
                driver.get(f"{site.url}{path}")
                driver.execute_script(_ELSEWHERE, str(REPOSITORY), "/app")
                picture = PICTURES / f"{name}.png"
                browser.screenshot(driver, picture, most=1600)
                print(Path(picture).relative_to(REPOSITORY))
        client.stop()


if __name__ == "__main__":
    main()
