"""Whether all affinity blocks were made by the same kind of machine: floats are promised equal per device kind and ISA only."""

from collections import Counter
from typing import Any

KEYS = {
    "torch": "versions of torch",
    "device": "kinds of device",
    "isa": "instruction sets",
    "device_name": "devices",
    "autocast": "precisions",
}
VOID = {
    "train_mode": "a model in training mode (inference.allow_train_mode)",
    "nondeterministic": "a model that may give another output when run again (inference.allow_nondeterministic)",
}
"""Keys of the record that void the promise, and what they say."""


class Mixtures:
    """Counts what the records of affinity shards say of the network's surroundings."""

    def __init__(self) -> None:
        self._seen: dict[str, Counter[str]] = {key: Counter() for key in KEYS}
        self._void: Counter[str] = Counter()

    def add(self, record: dict[str, Any]) -> None:
        """Count one shard's record."""
        network = record.get("network", {})
        self._void.update(key for key in VOID if network.get(key))
        for key, counter in self._seen.items():
            if key in network:
                counter[str(network[key])] += 1

    def notes(self) -> list[str]:
        """Return a sentence per mixture."""
        notes = [self._note(key, counter) for key, counter in self._seen.items() if len(counter) > 1]
        notes += [
            f"{count:,} affinity blocks were made by {VOID[key]}: the promise that results do not depend on the blocks is void"
            for key, count in self._void.items()
        ]
        return notes

    def _note(self, key: str, counter: Counter[str]) -> str:
        parts = ", ".join(f"{name} ({count:,} blocks)" for name, count in counter.most_common())
        return (
            f"affinity was made with different {KEYS[key]}: {parts}; floats may differ in their last bits between them; "
            "delete the shards of the rarer and rerun where it matters"
        )
