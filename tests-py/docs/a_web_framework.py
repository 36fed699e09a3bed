"""As much of FastAPI as the guide's example uses; the project does not depend on the real one."""

from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from contextlib import AbstractAsyncContextManager

Handler = Callable[..., Any]


class HTTPException(Exception):  # noqa: N818 - its name there
    """An answer that is none of 2xx."""

    def __init__(
        self, status_code: int, detail: object = None, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status_code, detail)
        self.status_code = status_code
        self.detail = detail
        self.headers = headers


class FastAPI:
    """An application: its lifespan, and its handlers by method and path."""

    def __init__(self, *, lifespan: Callable[[FastAPI], AbstractAsyncContextManager[None]]) -> None:
        self.state = SimpleNamespace()
        self.handlers: dict[tuple[str, str], Handler] = {}
        self._lifespan = lifespan

    def lifespan(self) -> AbstractAsyncContextManager[None]:
        return self._lifespan(self)

    def get(self, path: str) -> Callable[[Handler], Handler]:
        return self._handled("GET", path)

    def post(self, path: str, **_: object) -> Callable[[Handler], Handler]:
        return self._handled("POST", path)

    def _handled(self, method: str, path: str) -> Callable[[Handler], Handler]:
        def add(handler: Handler) -> Handler:
            self.handlers[method, path] = handler
            return handler

        return add

    async def asked(self, method: str, path: str, **parameters: object) -> Any:
        request = SimpleNamespace(app=self)
        return await self.handlers[method, path](request=request, **parameters)


class Request:
    """What a handler gets of the request."""


def Header(**limits: int) -> object:  # noqa: N802 - its name there
    """What a header may be."""
    return limits
