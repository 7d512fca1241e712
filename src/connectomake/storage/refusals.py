"""Errors of object stores and web servers, with what to do, in one sentence.

That a right is missing, a key has expired or a connection broke off is no damage: nothing is to be deleted.
"""

import contextlib
import re
from collections.abc import Iterator

from connectomake.errors import ConnectomakeError, StorageError
from connectomake.os_errors import PathLike, storage_error

_STAYS = "rerun: finished files are kept"
_STORE = (
    (
        r"expiredtoken|requestexpired|tokenrefreshrequired|token (is|has|included in the request is) expired|expired token",
        f"the credentials for {{}} have expired ({{}}); renew them and {_STAYS}",
    ),
    (
        r"invalidaccesskeyid|signaturedoesnotmatch|invalidtoken|unrecognizedclient|unauthenticated|unable to locate credentials"
        r"|\b401\b",
        f"the store of {{}} does not accept the credentials ({{}}); correct them and {_STAYS}",
    ),
    (
        r"\(400\) when calling the headobject",  # an answer without a text
        f"the store refuses requests for {{}} ({{}}), as it does when credentials have expired; renew them and {_STAYS}",
    ),
    (
        r"accessdenied|access denied|forbidden|permission_denied|\b403\b",
        f"access to {{}} is denied ({{}}); get permission and {_STAYS}",
    ),
    (
        r"slowdown|too many requests|requestlimitexceeded|\b429\b|\b503\b",
        f"the store of {{}} is overloaded ({{}}); run fewer jobs at once, or later {_STAYS}",
    ),
    (
        r"connect|timed? ?out|reset by peer|broken pipe|incompleteread|broken off|bytes were asked|resol|deadline|curl"
        r"|unavailable|internalerror|\b50[0-9]\b",
        f"the connection to {{}} broke off ({{}}); see to the network or the store and {_STAYS}",
    ),
)
_LONG = 300


def of_store(place: str, error: BaseException, kind: type[ConnectomakeError] = StorageError) -> ConnectomakeError | None:
    """Return the error to raise for what a bucket or web server answered; None if it is none of the known troubles.

    Parameters
    ----------
    place
        The object, as a URL.
    error
        What the store's client raised.
    kind
        Of the error to return.
    """
    said = " ".join(str(error).split()) or type(error).__name__
    text = f"{type(error).__name__} {said}".lower()
    sentence = next((sentence for words, sentence in _STORE if re.search(words, text)), None)
    if sentence is None:
        return None
    return kind(sentence.format(place, said if len(said) <= _LONG else f"{said[:_LONG]}…"))


@contextlib.contextmanager
def naming(place: str, path: PathLike) -> Iterator[None]:
    """Turn what a store or the system refuses into an error that names object or file, and the way out.

    Parameters
    ----------
    place
        The object, as a URL.
    path
        Its copy on this machine.

    Raises
    ------
    StorageError
        For the known troubles; all other errors pass.
    """
    try:
        yield
    except ConnectomakeError:
        raise
    except Exception as error:
        known = storage_error(path, error, "read or written") or of_store(place, error)
        if known is None:
            raise
        raise known from error


@contextlib.contextmanager
def explaining(url: str) -> Iterator[None]:
    """Turn what the libraries of stores raise while a store is used into a StorageError.

    Parameters
    ----------
    url
        The store's.

    Raises
    ------
    StorageError
        For what the store or the system refuses; all other errors pass.
    """
    try:
        yield
    except StorageError:
        raise
    except OSError as error:
        raise StorageError(f"{error.filename or url}: {error.strerror or error}") from error
    except Exception as error:
        if not type(error).__module__.startswith(("boto", "s3transfer", "google", "cloudfiles", "tenacity")):
            raise
        raise StorageError(f"the storage {url} cannot be used: {' '.join(str(error).split())}") from error


def first_line(error: BaseException) -> str:
    """Return the first line of what an error says, at most 300 letters; its kind if it says nothing."""
    return str(error).strip().split("\n", maxsplit=1)[0][:_LONG] or type(error).__name__
