"""Who may come in: a token, exchanged for a cookie, or a name that a proxy vouches for.

Everything is refused that does not say which session it belongs to, and every form that was not
made for that session. Nothing is kept: what a session is, its cookie says, signed with the token.
"""

from __future__ import annotations

import hashlib
import hmac
import ipaddress
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeAlias

    from starlette.requests import HTTPConnection

    _Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network

LASTS = 12 * 3600
"""For how many seconds a cookie is good."""

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'; object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer says."""


@dataclass(frozen=True, slots=True)
class Session:
    """Somebody who was let in.

    Attributes:
        key: What the session's forms are made for.
        who: A name that a proxy vouches for; None: whoever has the token.
    """

    key: str
    who: str | None


class Gate:
    """Lets in, or does not.

    Args:
        token: What the link says.
        port: On which port it listens: part of the cookie's name, since ports share cookies.
        hosts: What the Host header may be, in lower case, with the port where it has one.
        header: A header in which a proxy says who it is; None: none is believed.
        networks: From where it is believed.
    """

    def __init__(
        self,
        token: str,
        *,
        port: int,
        hosts: Sequence[str],
        header: str | None = None,
        networks: Sequence[_Network] = (),
    ) -> None:
        self._token = token
        self._secret = hashlib.sha256(f"quantumflow web\0{token}".encode()).digest()
        self.cookie = f"quantumflow_{port}"
        self._hosts = frozenset(hosts)
        self._header = header
        self._networks = networks

    def is_known_host(self, connection: HTTPConnection) -> bool:
        """Whether it was asked by a name of its own: not by one that somebody made lead here."""
        return connection.headers.get("host", "").lower() in self._hosts

    def is_token(self, text: str) -> bool:
        """Whether a text is the token."""
        return hmac.compare_digest(text.encode(), self._token.encode())

    def new_cookie(self) -> str:
        """A cookie for who has shown the token."""
        said = f"{int(time.time()) + LASTS}.{secrets.token_urlsafe(12)}"
        return f"{said}.{self._signed('session', said)}"

    def session(self, connection: HTTPConnection) -> Session | None:
        """Who asks; None: nobody who may come in."""
        who = self._vouched_for(connection)
        if who is not None:
            return Session(f"who {who}", who)
        said, _, signature = connection.cookies.get(self.cookie, "").rpartition(".")
        if not hmac.compare_digest(signature.encode(), self._signed("session", said).encode()):
            return None
        until = said.partition(".")[0]
        return Session(said, None) if until.isdigit() and int(until) > time.time() else None

    def form_key(self, session: Session) -> str:
        """What each form of a session has to send along."""
        return self._signed("form", session.key)

    def is_own_form(self, session: Session, key: str, connection: HTTPConnection) -> bool:
        """Whether a form comes from a page that was made for this session, and from here."""
        origin = connection.headers.get("origin")
        if origin is not None and origin.lower().partition("://")[2] not in self._hosts:
            return False
        if connection.headers.get("sec-fetch-site", "same-origin") not in {"same-origin", "none"}:
            return False
        return hmac.compare_digest(key.encode(), self.form_key(session).encode())

    def _vouched_for(self, connection: HTTPConnection) -> str | None:
        """Whom a proxy names that is believed."""
        if self._header is None or connection.client is None:
            return None
        try:
            address = ipaddress.ip_address(connection.client.host)
        except ValueError:
            return None
        if not any(address in network for network in self._networks):
            return None
        return connection.headers.get(self._header) or None

    def _signed(self, purpose: str, text: str) -> str:
        said = f"{purpose}\0{text}".encode()
        return hmac.new(self._secret, said, hashlib.sha256).hexdigest()
