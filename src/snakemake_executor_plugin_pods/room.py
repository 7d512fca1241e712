"""Whether a pod that cannot be scheduled now could ever run: its requests against the largest nodes and the quota."""

import contextlib
import re
from decimal import Decimal
from typing import Any

_POWERS = {"n": -9, "u": -6, "m": -3, "": 0, "k": 3, "M": 6, "G": 9, "T": 12, "P": 15, "E": 18}
_BINARY = {"Ki": 10, "Mi": 20, "Gi": 30, "Ti": 40, "Pi": 50, "Ei": 60}
_AMOUNT = re.compile(r"([\w./-]+)=([^\s,]+)")
_QUANTITY = re.compile(r"([+-]?[0-9.]+(?:[eE][+-]?[0-9]+)?)([numkMGTPE]|[KMGTPE]i)?")


def quantity(text: str) -> Decimal:
    """Return the number that a quantity of Kubernetes stands for: ``500m`` is 0.5, ``2Gi`` is 2147483648, ``1e3`` is 1000.

    Raises
    ------
    ValueError
        If it is no quantity.
    """
    match = _QUANTITY.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a Kubernetes quantity")
    number, suffix = match[1], match[2] or ""
    return Decimal(number) * (Decimal(2) ** _BINARY[suffix] if suffix in _BINARY else Decimal(10) ** _POWERS[suffix])


def never_fits(pod: dict[str, Any], nodes: list[dict[str, Any]]) -> str | None:
    """Return why no node could ever take the pod, even an empty one; None if one could.

    Nodes that are cordoned or not ready count too: they may come back. An autoscaler may bring larger nodes: where there is
    one, do not ask.
    """
    asked = pod["spec"]["containers"][0].get("resources", {}).get("requests") or {}
    wanted = pod["spec"].get("nodeSelector") or {}
    fitting = [n for n in nodes if wanted.items() <= (n["metadata"].get("labels") or {}).items()]
    if not fitting:
        return f"no node has the labels {wanted}; correct machine_type" if wanted else "the cluster has no node"
    offers = [n.get("status", {}).get("allocatable") or {} for n in fitting]
    if any(all(_offered(offer, key) >= quantity(value) for key, value in asked.items()) for offer in offers):
        return None
    for key, value in asked.items():
        most = max(offers, key=lambda offer: _offered(offer, key))
        if _offered(most, key) < quantity(value):
            return f"it asks for {value} of {key}, the largest node has {most.get(key, 'none')}"
    return f"no single node has all that it asks for: {asked}"


def _offered(offer: dict[str, str], key: str) -> Decimal:
    return quantity(offer.get(key, "0"))


def beyond_quota(text: str) -> str:
    """Return why a quota will never let a pod be made, given what the server says of it; empty if it may.

    Examples
    --------
    >>> beyond_quota("exceeded quota: lab, requested: requests.memory=9G, used: requests.memory=0, limited: requests.memory=8G")
    'it asks for 9G of requests.memory, the quota allows 8G in all; ask for less, or ask the cluster for more'
    >>> beyond_quota("exceeded quota: lab, requested: pods=1, used: pods=10, limited: pods=10")
    ''
    """
    asked, limits = (dict(_AMOUNT.findall(part)) for part in _parts(text))
    for name, amount in asked.items():
        with contextlib.suppress(ValueError):  # quantities in a form of tomorrow
            if name in limits and quantity(amount) > quantity(limits[name]):
                allowed = f"the quota allows {limits[name]} in all"
                return f"it asks for {amount} of {name}, {allowed}; ask for less, or ask the cluster for more"
    return ""


def _parts(text: str) -> tuple[str, str]:
    """Return what a quota was asked for, and its limits."""
    asked = text.rpartition("requested: ")[2].partition(" used: ")[0]
    return asked, text.rpartition("limited: ")[2]


def is_lost(node: str, nodes: list[dict[str, Any]]) -> bool:
    """Whether a node no longer exists, or its kubelet does not report."""
    for one in nodes:
        if one["metadata"].get("name") == node:
            conditions = one.get("status", {}).get("conditions") or []
            return any(c.get("type") == "Ready" and c.get("status") == "Unknown" for c in conditions)
    return bool(node)
