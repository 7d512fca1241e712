"""All that ``connectomake check --profile slurm`` looks at, one finding each."""

import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

from connectomake.preflight.disks import look_at_disks, time_files
from connectomake.preflight.finding import Finding
from connectomake.preflight.probe import probe
from connectomake.preflight.profile import Site
from connectomake.preflight.slurm import SECONDS, check_slurm_places
from connectomake.preflight.slurm_answers import ask_slurm
from connectomake.preflight.slurm_findings import look_at_settings
from connectomake.preflight.slurm_fit import Ask, look_at_fit

EXECUTORS = ("sbatch", "slurm")
"""Snakemake executors that submit to Slurm: this repository's, and the stock one."""


def look_at_slurm(
    site: Site, asks: list[Ask], paths: dict[str, str], folder: str = ".", with_probe: bool = False
) -> Iterator[Finding]:
    """Look at a site with Slurm; yield what is found as soon as it is.

    Parameters
    ----------
    site
        What the profile says.
    asks
        What the jobs of the plan ask for.
    paths
        What lies where, of all that nodes must see.
    folder
        Where Snakemake will be started.
    with_probe
        Whether to run one small job.

    Raises
    ------
    RunError
        If Slurm is not here, does not answer, or does not take the probe.
    ConfigError
        If there is no such partition or account.
    """
    yield from _plugins(site.executor or "")
    accounts: list[str | None] = [*(site.account or "").replace(",", " ").split()]
    places = [(account, ",".join(site.partitions) or None) for account in accounts or [None]]
    for found in check_slurm_places(places):
        yield Finding(True, found)
    answers = ask_slurm(SECONDS, site.qos)
    closed = [p for name in site.partitions if (p := answers.partitions.get(name)) and not p.takes(site.account)]
    for partition in closed:
        allowed = partition.values.get("allowaccounts", "ALL")
        yield Finding(False, f"partition {partition.name} takes no jobs of account {site.account} (AllowAccounts {allowed})")
    yield from look_at_fit(asks, answers)
    yield from look_at_settings(site, answers)
    yield from look_at_disks({"this folder": folder, "the environment": sys.prefix, **paths}, site.latency_wait)
    yield time_files(folder)
    if with_probe:
        yield from probe(site, Path(folder))


def _plugins(executor: str) -> Iterator[Finding]:
    module = f"snakemake_executor_plugin_{executor}"
    told = f"snakemake {_version('snakemake')}"
    if find_spec(module) is None:
        yield Finding(
            False,
            f"the executor {executor} is not in this environment ({told}): make cluster "
            "(or pip install --no-deps -r requirements-cluster.lock)",
        )
        return
    package = module.replace("_", "-")
    yield Finding(True, f"{told} with the executor {executor}" + (f" {found}" if (found := _version(package)) else ""))


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
