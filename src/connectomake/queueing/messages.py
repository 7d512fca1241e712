"""The format of messages: task-queue's envelope of a function's name and arguments, of which only the arguments are used.

A message is data that anybody may have written: bounded in size, read without a traceback, and no function is looked up by a
name that it brings.
"""

import json
from dataclasses import dataclass
from typing import Any, NoReturn

from connectomake.errors import QueueError

KEY = ("connectomake.queueing", "make")
LARGEST_BYTES = 1 << 20
"""No message is larger: a task takes at most 200 kB."""


class OthersTaskError(QueueError):
    """A whole task that this worker cannot make, but another one might: it stays in the queue."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """A message that was drawn.

    Parameters
    ----------
    id
        What the queue knows it by while it is leased.
    value
        The task as JSON values; None if the message is no task.
    draws
        How often it was drawn, this time included.
    fault
        Why it is no task; None if it is one.
    others
        Whether the fault is that it is another program's.
    key
        What the queue always knows it by.
    text
        What was in it, where that cannot be moved as a file.
    """

    id: str
    value: Any
    draws: int
    fault: str | None = None
    others: bool = False
    key: str = ""
    text: str = ""


@dataclass(frozen=True, slots=True)
class Refusals:
    """Messages that no worker, or not every worker, makes.

    Parameters
    ----------
    number
        How many there are.
    reasons
        Of the first of them: what each is called, and why.
    place
        Where they lie.
    """

    number: int
    reasons: list[tuple[str, str]]
    place: str


def envelope(task: dict[str, Any], ident: str | None = None) -> str:
    """Return the message of a task, as task-queue writes it."""
    known = {} if ident is None else {"id": ident}
    return json.dumps({"payload": [list(KEY), [], {"task": task}, None], **known})


def read_message(text: str | bytes, ident: str | None = None) -> Any:
    """Return the task in a message.

    Parameters
    ----------
    text
        What the message holds.
    ident
        The id that it must have within; None if the queue gives ids itself.

    Raises
    ------
    OthersTaskError
        If it is a task of another program.
    QueueError
        If it is no message, with the reason.
    """
    value = _parsed(text)
    if not isinstance(value, dict):
        raise QueueError(f"it holds {_kind(value)} where a message of task-queue is wanted")
    payload, named = value.get("payload"), _function_of(value)
    if named is not None and named != ".".join(KEY):
        raise OthersTaskError(
            f"the queue holds messages of another program (for {named[:80]!r}); name a queue of its own for connectomake"
        )
    if named is None or not (isinstance(payload, list) and isinstance(payload[2], dict)):
        raise QueueError("it is not a task of connectomake: the payload is missing or damaged")
    if ident is not None and value.get("id") != ident:
        found = "it has no id" if "id" not in value else f"its id is {str(value['id'])[:60]!r}"
        raise QueueError(f"{found}, its file's name says {ident!r}")
    return payload[2].get("task")


def _parsed(text: str | bytes) -> Any:
    if not text.strip():
        raise QueueError("it is empty")
    if len(text) > LARGEST_BYTES:
        raise QueueError(f"it has {len(text):,} bytes, more than the {LARGEST_BYTES:,} that a message may have")
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise QueueError("it is not readable as JSON: brackets are nested too deep") from None
    except ValueError as error:
        raise QueueError(f"it is not readable as JSON ({error})") from None


def _no_number(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _function_of(message: dict[str, Any]) -> str | None:
    """Return the name of the function or class that one of task-queue's two kinds of messages is for."""
    payload = message.get("payload")
    if isinstance(payload, dict) and isinstance(payload.get("class"), str):
        return str(payload["class"])
    if isinstance(payload, list) and len(payload) == 4 and isinstance(payload[0], list) and len(payload[0]) == 2:
        return ".".join(map(str, payload[0]))
    return None


def _kind(value: Any) -> str:
    names = {list: "a list", str: "a string", int: "a number", float: "a number", bool: "a truth value"}
    return names.get(type(value), "nothing")
