"""Errors of libraries explained in one sentence, with what to do."""

import re

NO_RANGES = "the web server does not support range requests: copy the source to a disk or a bucket, or serve it another way"
_SPECIFICATION = re.compile(r" ?\[(tensorstore_spec|kvstore_spec|source locations|http_response|curl_code)[^\n]*", re.DOTALL)
_LONG, _HEAD, _TAIL = 500, 300, 190
TRUNCATED = "it may be truncated: copy it again"
_DAMAGED = "it may be incomplete or damaged: copy it again"
_WAYS = (
    (("expired", "requestexpired"), "renew your credentials, then rerun: finished files are kept"),
    (("code 401", "code 403", "(401)", "(403)", "permission_denied", "unauthenticated", "forbidden", "access denied",
      "accessdenied", "permission denied"),
     "check your credentials and whether you may read it"),
    (("ignored by server",), NO_RANGES),
    (("required filter", "dlopen"), "set HDF5_PLUGIN_PATH to the folder of that filter, or rewrite the file with gzip"),
    (("unable to open external",), "a file that it refers to is missing: copy that as well"),
    (("not supported", "not registered", "unsupported", "unknown", "not available"), "rewrite it in a supported form"),
    (("timed out", "timeout", "unavailable", "could not resolve", "couldn't connect", "connection", "curl", "deadline"),
     "check the address and the network, then rerun"),
    (("input/output error", "stale file handle", "transport endpoint"), "the file system failed: try again or copy the source"),
)  # fmt: skip


def reason(error: BaseException) -> str:
    """Return what an exception of some library says, in one short line, without its dumps of specifications."""
    text = " ".join(_SPECIFICATION.sub("", str(error)).split())
    return (text if len(text) <= _LONG else f"{text[:_HEAD]} … {text[-_TAIL:]}") or type(error).__name__


def way_out(error: BaseException, otherwise: str = _DAMAGED) -> str:
    """Return what to do about an error of some library: what it says tells what is wrong; `otherwise`: if it does not."""
    text = str(error).lower()
    return next((way for words, way in _WAYS if any(word in text for word in words)), otherwise)
