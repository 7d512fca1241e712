"""A finished run in Python: its layers as lazy arrays, its objects as a table, meshes and skeletons of objects, scores."""

import functools
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from connectomake.errors import ConfigError, RunError
from connectomake.geometry import Vec
from connectomake.layers import LayerSpec
from connectomake.planning.infos import MESH_LAYER
from connectomake.planning.opening import open_run as _open_run
from connectomake.planning.paths import Paths
from connectomake.planning.plan import Plan
from connectomake.planning.scales import Scales
from connectomake.planning.skeletons import LAYER as SKELETON_LAYER
from connectomake.planning.skeletons import Skeletons

if TYPE_CHECKING:
    import numpy as np
    import pyarrow as pa
    import tensorstore

    from connectomake.skeletons.shards import Skeleton


class Run(Plan):
    """A finished run, see `open_run`: its plan, and ways to its results.

    Of the plan's attributes these are for anyone, the others may change between versions: `outdir`, `config`, `roi`, `grid`
    (the blocks), `layers` (at their finest scale, by name), and `source.voxel_size`.
    """

    def __eq__(self, other: object) -> bool:
        """Whether another run or plan is the same."""
        return isinstance(other, Plan) and self.to_json() == other.to_json()

    __hash__ = None  # type: ignore[assignment]

    def scales(self, layer: str) -> list[Vec]:
        """Return the shapes (z, y, x) of a layer's scales, the finest first.

        Parameters
        ----------
        layer
            Such as ``segmentation``, as `array` takes it.

        Returns
        -------
        list of (int, int, int)
            In voxels of each scale.

        Raises
        ------
        ConfigError
            If there is no such layer.
        """
        return [spec.roi.shape for spec in self._specs(layer)]

    def array(self, layer: str = "segmentation", scale: int = 0) -> "tensorstore.TensorStore":
        """Open a layer as a lazy array (c, z, y, x); voxels are read when they are asked for.

        Parameters
        ----------
        layer
            Such as ``segmentation``, ``segmentation_0.35``, ``affinity``, ``image``, ``components``, ``ground_truth``.
        scale
            0 is the finest.

        Returns
        -------
        tensorstore.TensorStore
            Indexed by the voxels' own coordinates: the region's first voxel is at `roi.start` of that scale.

        Raises
        ------
        ConfigError
            If there is no such layer or scale.
        RunError
            If the run has not made it, or has deleted it since.

        Examples
        --------
        >>> run = open_run("results/demo")  # doctest: +SKIP
        >>> run.array("segmentation")[0, 10:20, 30:40, 30:40].read().result().shape  # doctest: +SKIP
        (10, 10, 10)
        """
        import tensorstore as ts

        specs = self._specs(layer)
        if not 0 <= scale < len(specs):
            raise ConfigError(f"layer {layer} has scales 0 to {len(specs) - 1}, not {scale}")
        folder = Path(self.outdir, layer).absolute()
        if not (folder / "info").exists() or not (folder / specs[scale].scale_key).is_dir():
            raise RunError(f"{folder} has no scale {specs[scale].scale_key}: the run has not made it, or does not keep it")
        store = {"driver": "file", "path": f"{folder}/"}
        spec = {"driver": "neuroglancer_precomputed", "kvstore": store, "scale_index": scale, "open": True}
        return ts.open(spec).result().T

    def objects(self, columns: list[str] | None = None) -> "pa.Table":
        """Return the object table: id, voxels, box, centroid, a point inside, and what was measured; see docs/concepts.md.

        Parameters
        ----------
        columns
            Only these, in this order; None: all.

        Returns
        -------
        pyarrow.Table
            A row per object, by ascending id.

        Raises
        ------
        LayerError
            If the file is missing or damaged.
        """
        import pyarrow as pa

        from connectomake.layers import read_columns

        table = pa.table(read_columns(Paths(self).objects))
        return table if columns is None else table.select(columns)

    def mesh(self, object_id: int, lod: int = 0) -> "tuple[np.ndarray, np.ndarray]":
        """Return an object's mesh: vertices (n, 3) float64 in nm, z, y, x, and faces (m, 3).

        Parameters
        ----------
        object_id
            The object's id in the segmentation.
        lod
            The level of detail; 0 is the finest.

        Returns
        -------
        vertices : np.ndarray
            (n, 3) float64, nm, z, y, x.
        faces : np.ndarray
            (m, 3), rows of `vertices`.

        Raises
        ------
        ConfigError
            If the run makes no meshes, or there is no such object or level of detail.
        LayerError
            If the file is missing or damaged.
        """
        from connectomake.meshes.reading import MeshReader

        if not self.meshes_enabled:
            raise ConfigError("this run has no meshes; set meshes.enabled: true and run snakemake")
        return MeshReader(f"{self.outdir}/{MESH_LAYER}", self.mesh_spec).mesh(object_id, lod)

    def skeleton(self, object_id: int) -> "Skeleton":
        """Return an object's skeleton: vertices (n, 3) float32 in nm, z, y, x, edges (m, 2), radius (n,).

        Parameters
        ----------
        object_id
            The object's id in the segmentation.

        Returns
        -------
        connectomake.skeletons.shards.Skeleton
            Its `vertices`, `edges` and `radius`, lengths in nm.

        Raises
        ------
        ConfigError
            If the run makes no skeletons, or not that object's.
        LayerError
            If the file is missing or damaged.
        """
        from connectomake.skeletons.reading import SkeletonReader

        skeletons = Skeletons(self)
        if not skeletons.enabled:
            raise ConfigError("this run has no skeletons; set skeletons.enabled: true and run snakemake")
        return SkeletonReader(f"{self.outdir}/{SKELETON_LAYER}", skeletons.spec).read(object_id)

    def evaluate(
        self, ground_truth: str, dataset: str | None = None, layer: str = "segmentation", **options: Any
    ) -> dict[str, Any]:
        """Score a layer of labels against a ground truth, in bounded memory, where both have voxels.

        Parameters
        ----------
        ground_truth, dataset
            True labels in any format that is read; 0 is not counted.
        layer
            What is scored.
        options
            How the ground truth is read, as `connectomake.sources.SourceOptions` has it: such as ``offset=(0, 0, 100)``.

        Returns
        -------
        dict
            As ``connectomake evaluate --json`` prints it: scores, counts, the worst splits and mergers.

        Raises
        ------
        ConfigError
            If there is no such layer.
        SourceError
            If the ground truth cannot be read, or has no voxel in common with the layer.
        """
        from connectomake.evaluation import blocks_of, overlap_of, result_of
        from connectomake.sources import SourceOptions
        from connectomake.sources.labels import common_box, open_labels

        self._specs(layer)
        truth = open_labels(ground_truth, dataset, None, None, SourceOptions(**options))
        labels = open_labels(f"{self.outdir}/{layer}", None, 0)
        box = common_box(truth, labels, ("offset=(z, y, x)", "ground_truth"))
        tile = truth.tile if labels.tile else None
        return result_of(overlap_of(truth.read, labels.read, blocks_of(box, tile), tile, box), box, 10, [])

    @functools.cached_property
    def _scales(self) -> Scales:
        return Scales(self)

    def _specs(self, layer: str) -> tuple[LayerSpec, ...]:
        if layer not in self.layers:
            raise ConfigError(f"the run has no layer {layer!r}; there are: {', '.join(self.layers)}")
        return self._scales.specs(layer)


def open_run(place: str | Path) -> Run:
    """Open a run that was made before: neither source nor model is looked at.

    Parameters
    ----------
    place
        The run's config, from the working directory of the run; or the folder of its results, wherever it was copied to.

    Returns
    -------
    Run
        Its arrays and tables are opened when they are asked for.

    Raises
    ------
    ConfigError
        If no run of this config was made here, or the folder holds the results of none.

    Examples
    --------
    >>> run = open_run("results/demo")  # doctest: +SKIP
    >>> run.objects(["id", "voxels"]).num_rows  # doctest: +SKIP
    41
    """
    plan = _open_run(place)
    return Run(**{field.name: getattr(plan, field.name) for field in fields(Plan)})
