"""A browser without a screen, and the site for it: Debian's chromium and chromium-driver."""

from __future__ import annotations

import base64
import shutil
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import uvicorn
from selenium import webdriver
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service

from quantumflow_client.web.app import make
from quantumflow_client.web.database import Database
from quantumflow_client.web.gate import Gate
from quantumflow_client.web.site import House

from .server import REPOSITORY
from .waiting import wait_until

MISSING = (
    "there is no browser: apt-get install chromium chromium-driver, and the pages are looked at"
)

AXE = REPOSITORY / ".cache" / "axe" / "axe.min.js"
"""The accessibility checker, that `make .cache/axe/axe.min.js` fetches from npm."""

WIDE, PHONE = (1280, 900), (390, 844)

TOKEN = "only-for-tests"


def is_there() -> bool:
    """Whether there is a browser."""
    return all(shutil.which(name) for name in ("chromium", "chromedriver"))


@contextmanager
def browser() -> Iterator[webdriver.Chrome]:
    """A browser that asks nobody but the site."""
    options = Options()
    options.binary_location = shutil.which("chromium") or ""
    for argument in (
        "--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage",
        "--disable-background-networking", "--disable-component-update", "--no-first-run",
        "--hide-scrollbars",
    ):  # fmt: skip
        options.add_argument(argument)
    driver = webdriver.Chrome(options, Service(shutil.which("chromedriver")))
    try:
        yield driver
    finally:
        driver.quit()


class Site:
    """A site that is served on a free port."""

    def __init__(self, dsn: str, *, operator: bool = True, **options: Any) -> None:
        self._socket = socket.socket()
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._socket.bind(("127.0.0.1", 0))
        port = self._socket.getsockname()[1]
        self.url = f"http://127.0.0.1:{port}"
        gate = Gate(TOKEN, port=port, hosts=[f"127.0.0.1:{port}"])
        self.house = House(Database(dsn, **options), gate, is_operator=operator)
        config = uvicorn.Config(
            make(self.house), log_level="error", access_log=False, timeout_graceful_shutdown=15
        )
        self._server = uvicorn.Server(config)
        self.house.is_closing = lambda: self._server.should_exit
        self._thread = threading.Thread(
            target=self._server.run, kwargs={"sockets": [self._socket]}, daemon=True
        )

    def __enter__(self) -> Site:
        self._thread.start()
        wait_until(lambda: self._server.started, what="the site")
        return self

    def __exit__(self, *_: object) -> None:
        self._server.should_exit = True
        self._thread.join(10)
        self._socket.close()

    def enter(self, driver: webdriver.Chrome) -> None:
        """Open the link that is printed."""
        driver.get(f"{self.url}/?token={TOKEN}")
        wait_until(lambda: driver.title.startswith("Overview"), what="the overview")


def look(driver: webdriver.Chrome, size: tuple[int, int], *, dark: bool = False) -> None:
    """Be a screen of a size, light or dark."""
    scheme = [{"name": "prefers-color-scheme", "value": "dark" if dark else "light"}]
    driver.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": scheme})
    driver.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride",
        {"width": size[0], "height": size[1], "deviceScaleFactor": 1, "mobile": size[0] < 600},
    )


def screenshot(driver: webdriver.Chrome, path: Path, most: int = 4000) -> None:
    """Keep a picture of the page, as far down as that many pixels."""
    height = driver.execute_script("return document.documentElement.scrollHeight")
    width = driver.execute_script("return document.documentElement.clientWidth")
    clip = {"x": 0, "y": 0, "width": width, "height": min(height, most), "scale": 1}
    found = driver.execute_cdp_cmd(
        "Page.captureScreenshot", {"captureBeyondViewport": True, "clip": clip}
    )
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(base64.b64decode(found["data"]))


def problems(driver: webdriver.Chrome) -> list[str]:
    """What the accessibility checker finds on the page."""
    driver.execute_script(AXE.read_text("utf-8"))
    found: Any = driver.execute_async_script(
        "const done = arguments[arguments.length - 1];"
        "axe.run({resultTypes: ['violations']}).then(r => done(r.violations), e => done(`${e}`));"
    )
    if isinstance(found, str):
        return [found]
    return [
        f"{v['id']}: {v['help']}: {node['html'][:200]} {node.get('failureSummary', '')[:300]}"
        for v in found
        for node in v["nodes"][:3]
    ]


def sideways(driver: webdriver.Chrome) -> int:
    """By how many pixels the page is wider than the screen."""
    wide: int = driver.execute_script(
        "return document.documentElement.scrollWidth - document.documentElement.clientWidth"
    )
    return wide
