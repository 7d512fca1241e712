"""How long a request to a store or a web server may take, and how often it is tried again: for all clients, here."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Patience:
    """Timeouts and retries for a store.

    Parameters
    ----------
    connect_s, read_s
        Seconds until a connection is there, and until the next bytes of an answer are.
    retries
        How often a request that failed in passing is sent again.
    """

    connect_s: int
    read_s: int
    retries: int


PATIENT = Patience(10, 60, 8)
"""Of jobs: to wait half a minute for a busy store costs less than to make a job anew."""
BRIEF = Patience(5, 10, 1)
"""Of a check before a run: a fault is named within a minute."""
WEB = Patience(10, 60, 4)
"""Of web servers, which are asked again after 0.5, 1, 2 and 4 seconds."""
WEB_BACKOFF_S = 0.5

_TENSORSTORE = {"max_retries": WEB.retries, "initial_delay": "500ms", "max_delay": "4s"}
TENSORSTORE: dict[str, Any] = {f"{kind}_request_retries": _TENSORSTORE for kind in ("gcs", "s3", "http")}
"""The context of TensorStore."""
