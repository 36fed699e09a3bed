"""A site of a database, asked in this process."""

from __future__ import annotations

import asyncio
import ipaddress
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlencode

from quantumflow_client.web.app import make
from quantumflow_client.web.database import Database
from quantumflow_client.web.gate import Gate
from quantumflow_client.web.site import House

if TYPE_CHECKING:
    from starlette.types import ASGIApp, Message

TOKEN = "only-for-tests"
HOST = "127.0.0.1:8420"


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status_code: int
    headers: dict[str, str]
    text: str

    def json(self) -> Any:
        return json.loads(self.text)


class Browser:
    """Sends requests to an application, and keeps its cookies; it follows nothing."""

    def __init__(self, app: ASGIApp, client: tuple[str, int]) -> None:
        self._app = app
        self._client = client
        self.cookies: dict[str, str] = {}
        self.headers: dict[str, str] = {}

    def get(self, path: str, headers: dict[str, str] | None = None) -> Answer:
        return self.send("GET", path, headers or {})

    def post(self, path: str, data: dict[str, str], headers: dict[str, str] | None) -> Answer:
        kind = {"content-type": "application/x-www-form-urlencoded"}
        return self.send("POST", path, {**kind, **(headers or {})}, urlencode(data).encode())

    def send(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Answer:
        said = {"host": HOST, **self.headers, **headers}
        if self.cookies:
            said["cookie"] = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        raw, _, query = path.partition("?")
        scope = {
            "type": "http",
            "http_version": "1.1",
            "method": method,
            "scheme": "http",
            "path": unquote(raw),
            "raw_path": raw.encode(),
            "root_path": "",
            "query_string": query.encode(),
            "headers": [(n.lower().encode(), v.encode()) for n, v in said.items()],
            "client": self._client,
            "server": ("127.0.0.1", 8420),
        }
        sent: list[Message] = []
        asked = [{"type": "http.request", "body": body, "more_body": False}]

        async def receive() -> Message:
            if asked:
                return asked.pop()
            await asyncio.sleep(3600)  # whoever waits for the end of it is told of none
            raise AssertionError

        async def send(message: Message) -> None:
            sent.append(message)

        asyncio.run(self._app(scope, receive, send))  # type: ignore[arg-type]
        found = {n.decode(): v.decode() for n, v in sent[0]["headers"]}
        if "set-cookie" in found:
            name, _, value = found["set-cookie"].partition(";")[0].partition("=")
            self.cookies[name] = value
        text = b"".join(message.get("body", b"") for message in sent[1:])
        return Answer(sent[0]["status"], found, text.decode())


class Visitor:
    """Somebody with a browser, who was let in unless told otherwise."""

    def __init__(
        self,
        dsn: str,
        *,
        operator: bool = False,
        enter: bool = True,
        header: str | None = None,
        network: str | None = None,
        client: tuple[str, int] = ("127.0.0.1", 50000),
        **options: Any,
    ) -> None:
        gate = Gate(
            TOKEN,
            port=8420,
            hosts=[HOST, "flows.example.com"],
            header=header,
            networks=[ipaddress.ip_network(network)] if network else [],
        )
        self.house = House(Database(dsn, **options), gate, is_operator=operator)
        self.browser = Browser(make(self.house), client)
        if enter:
            assert self.browser.get(f"/?token={TOKEN}").status_code == 200

    def get(self, path: str, expect: int = 200, headers: dict[str, str] | None = None) -> str:
        answer = self.browser.get(path, headers)
        assert answer.status_code == expect, f"{path}: {answer.status_code}\n{answer.text[:3000]}"
        return answer.text

    def post(
        self,
        path: str,
        page: str | None,
        expect: int = 303,
        headers: dict[str, str] | None = None,
        **form: str,
    ) -> str:
        """Send a form, with the key of a page's; where it leads."""
        if page is not None:
            form["form_key"] = key_of(self.get(page))
        answer = self.browser.post(path, form, headers)
        assert answer.status_code == expect, f"{path}: {answer.status_code}\n{answer.text[:3000]}"
        return answer.headers.get("location", answer.text)

    def close(self) -> None:
        self.house.database.connections.close()


def key_of(text: str) -> str:
    found = re.search(r'name="form_key" value="(\w+)"', text)
    assert found is not None, "the page has no form"
    return found[1]
