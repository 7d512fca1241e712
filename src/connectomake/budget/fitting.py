"""From small runs to rates: what each job or file takes, each voxel, and each voxel of a seam between blocks."""

import numpy as np

from connectomake.budget.rates import Line, Rates
from connectomake.budget.small_run import Files, Tally
from connectomake.pipeline.affinity import AffinityRule


def rates_from(runs: list[dict[str, Tally]], basis: str) -> Rates:
    """Return the rates that explain small runs best.

    Parameters
    ----------
    runs
        What each rule took, by `key_of`. The time of the first counts only where there is no other: it loads and compiles.
    basis
        Where they come from, for people.
    """
    seconds, sizes = {}, {}
    for name in dict.fromkeys(name for run in runs for name in run):
        tallies = [run[name] for run in runs if name in run]
        if name == AffinityRule.name:
            seconds[name] = _network(tallies)
        else:
            seconds[name] = fit([(t.seconds, t.jobs, t.units, 0.0) for t in tallies[1:] or tallies])
        outputs = {out for tally in tallies for out in tally.outputs}
        sizes[name] = {out: _sizes([t.outputs[out] for t in tallies if out in t.outputs]) for out in sorted(outputs)}
    return Rates(seconds, sizes, basis)


def _network(tallies: list[Tally]) -> Line:
    """Return what jobs of the network take: as any job loads it anew, what loading takes is that of the first run."""
    first, last = tallies[0], tallies[-1]
    if first is last:
        return Line(unit=first.seconds / first.units)
    unit = last.seconds / last.units
    return Line(max(first.seconds - unit * first.units, 0.0) / first.jobs, unit)


def _sizes(files: list[Files]) -> Line:
    whole = [f for f in files if f.units and f.number]
    if whole and all(f.units_only for f in whole):
        best = max(whole, key=lambda f: f.units / f.number)  # packs of several cells hold coarser levels, too
        return Line(unit=best.bytes / best.units)
    return fit([(float(f.bytes), f.number, f.units, f.seams) for f in whole])


def fit(points: list[tuple[float, float, float, float]]) -> Line:
    """Return the line, nowhere negative, that explains points best, each to the same part of it.

    Parameters
    ----------
    points
        Value, number of jobs or files, units, voxels of seams.

    Examples
    --------
    >>> fit([(30, 1, 100, 0), (50, 1, 200, 0), (130, 8, 200, 0)])
    Line(each=10.0..., unit=0.2..., seam=0.0)
    """
    from scipy.optimize import nnls

    rows = np.array([point for point in points if point[0] > 0], float).reshape(-1, 4)
    if not len(rows):
        return Line()
    values, features = rows[:, 0], rows[:, 1:]
    scale = features.max(axis=0)
    scale[scale == 0] = 1
    found, _ = nnls(features / scale / values[:, None], np.ones(len(rows)))
    each, unit, seam = (found / scale).tolist()
    return Line(each, unit, seam)
