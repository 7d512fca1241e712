"""What a Snakemake profile says of the place of a run."""

import ast
import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from connectomake.errors import ConfigError
from connectomake.plain import check_yaml, read_text


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
    account, partition
        Of Slurm.
    """

    executor: str | None = None
    storage: str | None = None
    endpoint: str | None = None
    account: str | None = None
    partition: str | None = None


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
    resources = values.get("default-resources") or {}
    if not isinstance(resources, dict):
        resources = dict(str(item).partition("=")[::2] for item in resources)
    return Site(
        executor=values.get("executor"),
        storage=values.get("default-storage-prefix"),
        endpoint=values.get("storage-s3-endpoint-url"),
        account=plain(resources.get("slurm_account")),
        partition=plain(resources.get("slurm_partition")),
    )


def _config_file(path: Path) -> Path:
    if path.is_file():
        return path
    found = sorted(path.glob("config.v*+.yaml")) or [path / "config.yaml"]
    if not found[-1].exists():
        raise ConfigError(f"there is no profile {path}: {found[-1]} is missing; see profiles/ for those that come along")
    return found[-1]


def plain(value: Any) -> str | None:
    """Return the text of a resource: Snakemake evaluates them, so that profiles write ``"'main'"``."""
    if value is None:
        return None
    with contextlib.suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        value = ast.literal_eval(str(value))
    return str(value) or None
