"""The settings of a Snakemake profile that say where a run takes place."""

import ast
import contextlib
import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from connectomake.bounded_text import check_yaml, read_text
from connectomake.errors import ConfigError


@dataclass(frozen=True, slots=True)
class Site:
    """Where jobs run and where results go.

    Attributes
    ----------
    executor
        Name of Snakemake's executor; None: here.
    storage
        URL below which all results go; None: a disk.
    endpoint
        Address of an S3-compatible store; None: that of ``AWS_ENDPOINT_URL``, or Amazon's.
    account, partition, qos
        Of Slurm.
    jobs
        How many may be in the queue at once; None: the profile does not say.
    retries
        How often a job is tried again.
    latency_wait, status_seconds
        Seconds: how long a file may take to be seen, and between two questions about jobs.
    of_rules
        Resources that the profile sets for single rules (``set-resources``), as texts.
    """

    executor: str | None = None
    storage: str | None = None
    endpoint: str | None = None
    account: str | None = None
    partition: str | None = None
    qos: str | None = None
    jobs: int | None = None
    retries: int = 0
    latency_wait: float = 5.0
    status_seconds: float = 10.0
    of_rules: Mapping[str, Mapping[str, str]] = field(default_factory=dict)

    def resource(self, rule: str, name: str) -> str | None:
        """Return what the profile sets for a resource of one rule; None if nothing."""
        return self.of_rules.get(rule, {}).get(name)

    def partition_of(self, rule: str) -> str | None:
        """Return where a rule's jobs go; None: Slurm's default."""
        return self.resource(rule, "slurm_partition") or self.partition

    @property
    def partitions(self) -> tuple[str, ...]:
        """All partitions that the profile names, each once."""
        named = [self.partition, *(values.get("slurm_partition") for values in self.of_rules.values())]
        return tuple(dict.fromkeys(name for text in named if text for name in text.split(",")))


def read_profile(path: str | os.PathLike[str]) -> Site:
    """Read a profile.

    Parameters
    ----------
    path
        A profile's folder, or its ``config.yaml``.

    Raises
    ------
    ConfigError
        If it is not there or no YAML of names and values.
    """
    file = _config_file(Path(path))
    try:
        text = read_text(file)
        check_yaml(text)
        values = yaml.safe_load(text) or {}
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise ConfigError(f"the profile {file} cannot be read ({' '.join(str(error).split())}); correct it") from error
    if not isinstance(values, dict):
        raise ConfigError(f"the profile {file} holds no names and values; see profiles/ for examples")
    resources = _pairs(values.get("default-resources"))
    return Site(
        executor=values.get("executor"),
        storage=values.get("default-storage-prefix"),
        endpoint=values.get("storage-s3-endpoint-url"),
        account=plain(resources.get("slurm_account")),
        partition=plain(resources.get("slurm_partition")),
        qos=plain(resources.get("qos")),
        jobs=_number(values.get("jobs"), None),
        retries=_number(values.get("retries"), 0) or 0,
        latency_wait=_number(values.get("latency-wait"), 5) or 0,
        status_seconds=_number(values.get("seconds-between-status-checks"), 10) or 0,
        of_rules=_of_rules(values.get("set-resources")),
    )


def _pairs(found: Any) -> dict[str, Any]:
    """Return resources by name: a profile may have them as a list of ``name=value``, too."""
    if isinstance(found, dict):
        return found
    return dict(str(item).partition("=")[::2] for item in found or ())


def _of_rules(found: Any) -> dict[str, dict[str, str]]:
    """Return what ``set-resources`` sets, by rule: nested, or a list of ``rule:name=value``."""
    rules: dict[str, dict[str, str]] = {}
    if isinstance(found, dict):
        nested = {str(rule): _pairs(values) for rule, values in found.items()}
    else:
        nested = {}
        for item in found or ():
            rule, _, pair = str(item).partition(":")
            nested.setdefault(rule, {}).update(_pairs([pair]))
    for rule, values in nested.items():
        rules[rule] = {name: text for name, value in values.items() if (text := plain(value)) is not None}
    return rules


def _number(value: Any, otherwise: int | None) -> int | None:
    """Return a whole number of a profile; what it is otherwise where it says something else (``unlimited``)."""
    try:
        return int(float(value))
    except (TypeError, ValueError, OverflowError):
        return otherwise


def _config_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("config.v*+.yaml")) or [path / "config.yaml"]
    if not found[-1].exists():
        raise ConfigError(f"there is no profile {path}: {found[-1]} is missing; see profiles/ for the ones included")
    return found[-1]


def plain(value: Any) -> str | None:
    """Return the text of a resource: Snakemake evaluates them, so that profiles write ``"'main'"``."""
    if value is None:
        return None
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(str(value))
    return str(value) or None
