"""Where the volumes of a plan lie."""

from pathlib import Path

from connectomake.errors import ConfigError
from connectomake.planning.plan import Plan
from connectomake.sources import is_url, resolve_local


def check_sources_stay(plan: Plan) -> None:
    """Refuse a source that lies where this run writes its own layers.

    Raises
    ------
    ConfigError
        If one does.
    """
    paths = {
        "source.path": plan.source.path,
        "evaluation.ground_truth": plan.truth.path if plan.truth else None,
        "mask.path": plan.mask.volume.path if plan.mask else None,
    }
    for key, path in paths.items():
        if path is None or is_url(path):
            continue
        place = Path(resolve_local(path, ".").rpartition("://")[2]).resolve()
        for name in plan.layers:
            folder = Path(plan.outdir, name).resolve()
            if place == folder or folder in place.parents:
                raise ConfigError(f"{key} {path!r} lies in {plan.outdir}/{name}, which this run writes; name another outdir")
