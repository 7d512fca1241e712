"""``connectomake evaluate``: compare two label volumes."""

import sys
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer

from connectomake.cli import common
from connectomake.errors import ConfigError

if TYPE_CHECKING:
    from connectomake.geometry import Box
    from connectomake.sources import SourceOptions
    from connectomake.sources.labels import Labels

Point: TypeAlias = tuple[int, int, int] | None
SHOWN_PARTS = 3


def evaluate(
    ground_truth: Annotated[str, typer.Argument(metavar="GT", help="True labels; 0 is unlabelled and not counted.")],
    segmentation: Annotated[str, typer.Argument(metavar="SEG", help="The segmentation; any format, as GT.")],
    dataset_gt: Annotated[str | None, typer.Option(help="Dataset of GT within HDF5, Zarr, N5.")] = None,
    dataset_seg: Annotated[str | None, typer.Option(help="Dataset of SEG.")] = None,
    scale_gt: Annotated[str | None, typer.Option(help="Scale of GT, number or key, of precomputed and OME-Zarr.")] = None,
    scale_seg: Annotated[str | None, typer.Option(help="Scale of SEG.")] = None,
    missing_gt: Annotated[
        str, typer.Option(metavar="error|fill", help="What to do about storage chunks that GT lacks.")
    ] = "error",
    missing_seg: Annotated[
        str, typer.Option(metavar="error|fill", help="What to do about storage chunks that SEG lacks.")
    ] = "error",
    missing_sections_gt: Annotated[
        str, typer.Option(metavar="error|blank", help="What to do about sections that GT lacks.")
    ] = "error",
    missing_sections_seg: Annotated[
        str, typer.Option(metavar="error|blank", help="What to do about sections that SEG lacks.")
    ] = "error",
    refers_to_gt: Annotated[list[str] | None, typer.Option(help="Another folder that GT (HDF5) may refer to.")] = None,
    refers_to_seg: Annotated[list[str] | None, typer.Option(help="Another folder that SEG may refer to.")] = None,
    axes_gt: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of GT as it is stored, such as xyz.")] = None,
    axes_seg: Annotated[str | None, typer.Option(metavar="LETTERS", help="Axes of SEG.")] = None,
    offset_gt: Annotated[Point, typer.Option(metavar="Z Y X", help="Where GT's voxel 0 0 0 lies.")] = None,
    offset_seg: Annotated[Point, typer.Option(metavar="Z Y X", help="Where SEG's voxel 0 0 0 lies.")] = None,
    start: Annotated[
        Point, typer.Option(metavar="Z Y X", help="First voxel of the box to evaluate; default: everything.")
    ] = None,
    stop: Annotated[Point, typer.Option(metavar="Z Y X", help="End of the box, exclusive.")] = None,
    ignore: Annotated[list[int] | None, typer.Option(help="True object to leave out; may be given more than once.")] = None,
    worst: Annotated[int, typer.Option(help="Number of splits and mergers to list.", min=0)] = 10,
    json: Annotated[bool, typer.Option("--json", help="Print the result as JSON.")] = False,
) -> None:
    """Score the segmentation SEG against the ground truth GT, block-wise in bounded memory."""
    from connectomake.evaluation import blocks_of, overlap_of, result_of
    from connectomake.sources.labels import common_box

    of_gt = options_of("gt", missing_gt, missing_sections_gt, refers_to_gt, axes_gt)
    of_seg = options_of("seg", missing_seg, missing_sections_seg, refers_to_seg, axes_seg)
    gt = opened("gt", ground_truth, dataset_gt, scale_gt, offset_gt, of_gt)
    seg = opened("seg", segmentation, dataset_seg, scale_seg, offset_seg, of_seg)
    box = cut(common_box(gt, seg), start, stop)
    for note in dict.fromkeys(gt.source.notes + seg.source.notes):
        print(f"! {note}", file=sys.stderr)
    tile = gt.tile if seg.tile else None
    overlap = overlap_of(gt.read, seg.read, watched(blocks_of(box, tile)), tile, box)
    result = result_of(overlap, box, worst, sorted(set(ignore or ()))) | _filled(gt, seg, box)
    if json:
        from json import dumps

        print(dumps(result, indent=2))
        return
    _print(result, box, gt, seg)


def options_of(
    which: str, missing: str, missing_sections: str, refers_to: list[str] | None, axes: str | None
) -> "SourceOptions":
    """Return how a volume is read; `which` is what its options end in, such as ``gt``, or empty."""
    from connectomake.sources import SourceOptions

    for key, value, other in (("missing", missing, "fill"), ("missing-sections", missing_sections, "blank")):
        if value not in ("error", other):
            raise ConfigError(f"--{key}{which and '-'}{which} {value!r} must be error or {other}")
    return SourceOptions(missing=missing, missing_sections=missing_sections, refers_to=tuple(refers_to or ()), axes=axes)


def opened(which: str, path: str, dataset: str | None, scale: str | None, offset: Point, options: "SourceOptions") -> "Labels":
    """Open a volume; errors name the options of this command."""
    from connectomake.keys import Options, naming
    from connectomake.sources.labels import open_labels

    number = int(scale) if scale and scale.isdecimal() else scale
    with naming(Options(which, {"path": which.upper() or "A"})):
        return open_labels(path, dataset, number, offset, options)


def _filled(gt: "Labels", seg: "Labels", box: "Box") -> dict[str, Any]:
    """Return how many voxels of each were filled in the box, and how many sections each lacks in all, if any."""
    both = (("gt", gt), ("seg", seg))
    counts = {f"filled_{name}": labels.filled(box)[1] for name, labels in both}
    counts |= {f"blank_sections_{name}": labels.source.blank_sections for name, labels in both}
    return {key: count for key, count in counts.items() if count}


def cut(box: "Box", start: Point, stop: Point) -> "Box":
    """Return the part of a box that ``--start`` and ``--stop`` name."""
    from connectomake.geometry import Box

    wanted = Box(start or box.start, stop or box.stop)
    if not box.contains(wanted) or wanted.empty:
        raise ConfigError(f"the box {wanted} (--start, --stop) is not within what both volumes hold, {box}; change it")
    return wanted


def watched(blocks: "list[Box]") -> Any:
    """Yield the blocks, showing how many are done."""
    from connectomake.cli.bar import bar

    with bar("blocks") as report:
        for done, block in enumerate(blocks):
            report(done, len(blocks))
            yield block


def _print(result: dict[str, Any], box: "Box", gt: "Labels", seg: "Labels") -> None:
    from rich.text import Text

    out = common.console()
    rows = [("ground truth", gt.source.path), ("segmentation", seg.source.path), ("box", f"{box}: {box.volume:,} voxels")]
    rows += [("ignored", ", ".join(map(str, result["ignored"])))] if result["ignored"] else []
    for key, name in (("gt", "ground truth"), ("seg", "segmentation")):
        if count := result.get(f"filled_{key}"):
            rows.append(("filled", f"{count:,} voxels of the {name} lie in storage chunks that it lacks, and are filled"))
        if count := result.get(f"blank_sections_{key}"):
            rows.append(("blank", f"{count:,} {'section' if count == 1 else 'sections'} of the {name} missing, read as zeros"))
    rows += [("coverage", f"{100 * result['coverage']:.2f} % of the voxels with ground truth have a segment")]
    out.print(common.key_value_table(rows))
    out.print(_score_table(result))
    for kind in ("split", "merger"):
        if result[f"worst_{kind}s"]:
            out.print(_worst_table(kind, result[f"worst_{kind}s"]))
    out.print(Text("Ground truth 0 is not counted. Places are z, y, x; positions of Neuroglancer (x, y, z) are in --json."))


def _score_table(result: dict[str, Any]) -> Any:
    columns = ["voxels", "objects", "segments", "VOI split", "VOI merge", "VOI", "Rand split", "Rand merge", "Rand error"]
    table = common.columns_table("", ["voxels counted"], columns)
    names = {"all_voxels": "all; segmentation 0 as one segment", "where_segmented": "where there is a segment"}
    for key, text in names.items():
        s = result[key]
        counts = [f"{s[k]:,}" for k in ("voxels", "objects", "segments")]
        floats = ("voi_split", "voi_merge", "voi", "rand_split", "rand_merge", "adapted_rand_error")
        table.add_row(text, *counts, *("" if s[k] is None else f"{s[k]:.4f}" for k in floats))
    return table


def _worst_table(kind: str, faults: list[dict[str, Any]]) -> Any:
    title = {
        "split": "worst splits: true objects in several segments",
        "merger": "worst mergers: segments over several objects",
    }
    table = common.columns_table(title[kind], ["id", "parts: id (voxels) at z, y, x"], ["VOI", "voxels", "parts"])
    for fault in faults:
        parts = [f"{p['id']} ({p['voxels']:,}) at {', '.join(map(str, p['voxel']))}" for p in fault["largest"][:SHOWN_PARTS]]
        more = "; …" if fault["parts"] > SHOWN_PARTS else ""
        table.add_row(
            str(fault["id"]), "; ".join(parts) + more, f"{fault['voi']:.4f}", f"{fault['voxels']:,}", f"{fault['parts']:,}"
        )
    return table
