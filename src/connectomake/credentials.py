"""Passwords and tokens in URLs: used to read, never shown or written down.

``https://user:password@host/…`` and ``https://host/…?token=…`` (presigned addresses) may stand in a config or on a command
line. When one is read, `hidden` takes the secret off and remembers it in this process alone; plans, messages, reports and links
hold what is left. Where the address is opened, `revealed` puts it back. Jobs learn it from the config that Snakemake hands
them. Who has no config, a queue's worker say, takes user and password from ``~/.netrc`` (or the file that ``NETRC`` names).
"""

import netrc
import os
import re
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

_NAME = r"[^=&?#\s]*(?:sig|token|secret|passw|pwd|key|cred|auth|jwt|session|sas|x-amz|x-goog|accessid)[^=&?#\s]*"
_USER = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*://)([^\s/?#|'\"]+)@(?=[^\s/@?#])")
_VALUE = re.compile(rf"([?&;]{_NAME}=)[^&\s#|'\"`,)\]]+", re.IGNORECASE)
_QUERY = re.compile(r"\?[^#|\s]*")
_NAMED = re.compile(rf"[?&;]{_NAME}=", re.IGNORECASE)
_known: dict[str, tuple[str, str]] = {}


def redacted(text: str) -> str:
    """Return a text whose URLs show no user, password or token.

    Examples
    --------
    >>> redacted("https://ann:1234@host/x and https://host/y?part=1&token=56")
    'https://***@host/x and https://host/y?part=1&token=***'
    """
    return _VALUE.sub(r"\1***", _USER.sub(r"\1***@", text)) if "://" in text else text


def hidden(url: str) -> str:
    """Return a URL without user, password and, if any of it is secret, query; remember them for `revealed`.

    Examples
    --------
    >>> hidden("zarr://https://ann:1234@host/x")
    'zarr://https://host/x'
    """
    if "://" not in url:
        return url
    user, query = "", ""
    if found := _USER.search(url):
        user, url = found[2], url[: found.start(2)] + url[found.end(2) + 1 :]
    if (found := _QUERY.search(url)) and _NAMED.search(found[0]):
        query, url = found[0], url[: found.start()] + url[found.end() :]
    if user or query:
        _known[_place(url)] = (user, query)
    return url


def hide_all(value: Any) -> Any:
    """Return a config, or a part of it, with all its URLs as `hidden` returns them."""
    if isinstance(value, dict):
        return {key: hide_all(part) for key, part in value.items()}
    if isinstance(value, list):
        return [hide_all(part) for part in value]
    return hidden(value) if isinstance(value, str) else value


def revealed(url: str) -> str:
    """Return a URL with user, password and query as they were given for it or for a folder above it, or as netrc names them.

    Notes
    -----
    Only http and https; buckets have credentials of their own.
    """
    if not url.startswith(("http://", "https://")) or _USER.match(url):
        return url
    places = [place for place in _known if url == place or url.startswith(f"{place.rstrip('/')}/")]
    user, query = _known[max(places, key=len)] if places else ("", "")
    user = user or _of_netrc(url)
    scheme, _, rest = url.partition("://")
    return f"{scheme}://{user}@{rest}{query}" if user else f"{url}{query}"


def _place(url: str) -> str:
    """Return where a URL points to: without a kind in front, and without what follows a ``|``."""
    start = url.rfind("http://") if "http://" in url else url.rfind("https://")
    return url[max(start, 0) :].partition("|")[0].rstrip("/")


def _of_netrc(url: str) -> str:
    host = urlsplit(url).hostname
    try:
        place = Path(os.environ.get("NETRC") or "~/.netrc").expanduser()
        found = netrc.netrc(place).authenticators(host) if host and place.is_file() else None
    except (OSError, RuntimeError, ValueError, netrc.NetrcParseError):
        return ""
    return "" if found is None else f"{quote(found[0], safe='')}:{quote(found[2] or '', safe='')}"
