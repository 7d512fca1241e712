"""Access to the local server: pages that it served itself, programs, and allowed origins.

A page of any other site can make a browser send requests to 127.0.0.1. So that it learns nothing:

- the Host must be a name of this server, or else a site that resolves its own name to 127.0.0.1 (DNS rebinding) would be of our
  origin;
- a request from another origin (header Origin, or Sec-Fetch-Site where a browser sends no Origin) is refused, and gets no
  header that would let the page read an answer, unless its origin was allowed or the path begins with the random token of the
  public viewer's link.

Source: Fetch standard, section 3.3 (CORS protocol); W3C Fetch Metadata; Private Network Access.
"""

import ipaddress
import re
import secrets
import socket
from collections.abc import Iterable
from email.message import Message

from connectomake.errors import ConfigError

_ORIGIN = re.compile(r"https?://[A-Za-z0-9.-]+(:[0-9]{1,5})?|https?://\[[0-9a-fA-F:]+\](:[0-9]{1,5})?|\*")
_HOST = re.compile(r"(\[[0-9a-fA-F:]+\]|[^:\[\]]+)(:[0-9]{1,5})?")
_CORS = {
    "Access-Control-Allow-Methods": "GET, HEAD, OPTIONS",
    "Access-Control-Allow-Headers": "Range, If-Range, Content-Type",
    "Access-Control-Expose-Headers": "Accept-Ranges, Content-Length, Content-Range, Content-Encoding",
    "Access-Control-Max-Age": "86400",
}


class Guard:
    """Decides who gets an answer.

    Parameters
    ----------
    host, bound
        Name and address that the server listens at; of 0.0.0.0 and ``::`` any address and the machine's names will do as Host.
    origins
        Origins that are allowed beside the server's own, such as ``https://example.org``; ``*`` allows all.

    Raises
    ------
    ConfigError
        If an origin is none.
    """

    def __init__(self, host: str, bound: str, origins: Iterable[str] = ()) -> None:
        self._origins = frozenset(checked_origin(origin) for origin in origins)
        self._everywhere = host in ("", "0.0.0.0", "::")  # noqa: S104
        self._names = {host.lower(), bound.lower(), "localhost"}
        if self._everywhere:
            self._names |= {socket.gethostname().lower(), socket.getfqdn().lower()}
        self.token = secrets.token_urlsafe(16)
        """A path that begins with it may be asked for by pages of any origin."""

    def host_of(self, headers: "Message[str, str]") -> str | None:
        """Return the Host of a request, if it is a name of this server."""
        given = _HOST.fullmatch(headers.get("Host", "").strip().lower())
        if given is None:
            return None
        name = given[1].strip("[]").removesuffix(".")
        if name in self._names:
            return given[0]
        try:
            address = ipaddress.ip_address(name)
        except ValueError:
            return None
        return given[0] if address.is_loopback or self._everywhere else None

    def admits(self, headers: "Message[str, str]", host: str, token: bool) -> bool:
        """Tell whether the origin of a request may have an answer."""
        origin = headers.get("Origin")
        if token or (origin is not None and self._is_allowed(origin, host)):
            return True
        if origin is not None:
            return False
        site, mode = headers.get("Sec-Fetch-Site", "none"), headers.get("Sec-Fetch-Mode", "")
        return site in ("same-origin", "none") or mode == "navigate"

    def _is_allowed(self, origin: str, host: str) -> bool:
        return origin.lower() == f"http://{host}" or origin.lower() in self._origins or "*" in self._origins

    def cors(self, headers: "Message[str, str]") -> dict[str, str]:
        """Return the headers that let the page of an admitted request read the answer."""
        origin = headers.get("Origin")
        if origin is None:
            return {"Vary": "Origin", "Cross-Origin-Resource-Policy": "cross-origin" if self._origins else "same-origin"}
        private = (
            {"Access-Control-Allow-Private-Network": "true"} if "Access-Control-Request-Private-Network" in headers else {}
        )
        return {"Access-Control-Allow-Origin": origin, "Vary": "Origin", **_CORS, **private}


def checked_origin(text: str) -> str:
    """Return an origin as browsers write it.

    Raises
    ------
    ConfigError
        If it is none.
    """
    origin = text.strip().rstrip("/").lower()
    if not _ORIGIN.fullmatch(origin):
        raise ConfigError(f"--allow-origin {text!r} is not an origin; write it like https://neuroglancer-demo.appspot.com")
    return re.sub(r"^(http://.*):80$|^(https://.*):443$", lambda found: found[1] or found[2], origin)
