"""Benchmarks: ``python -m benchmarks [name ...]`` measures, prints a table and writes ``benchmarks/results.json``.

Every module of `MODULES` has a function `run() -> dict` whose `rows` come from `benchmarks.rows.Row`; its other keys are
figures beside them. What another program is needed for, or data that is not there, raises `Skipped`.
"""

MODULES = (
    "workflow", "inference", "recompute", "components", "neurons", "training", "gpu", "fib25", "dryrun", "starts", "imports",
    "memory", "slurm", "meshes", "skeletons", "pyramid", "view", "export", "mask",
)  # fmt: skip
