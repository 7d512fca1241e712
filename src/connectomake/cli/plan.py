"""``connectomake plan``: what a config means, before anything is computed."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.reporting.texts import bytes_text, counted, seconds_text, shape_text, voxels_text

if TYPE_CHECKING:
    from rich.console import Console

    from connectomake.cli.budget import Outlook
    from connectomake.planning.plan import Plan


def plan(
    config: ConfigPath = DEFAULT_CONFIG,
    json: Annotated[bool, typer.Option("--json", help="Print the figures as JSON.")] = False,
    max_memory: Annotated[str | None, typer.Option(metavar="SIZE", help="Choose blocks whose jobs fit, such as 8GB.")] = None,
    gpu_memory: Annotated[
        str | None, typer.Option(metavar="SIZE", help="GPU memory that the network must fit, such as 16GB.")
    ] = None,
    hours: Annotated[float | None, typer.Option(help="Choose blocks, and machines, to finish within this many hours.")] = None,
    machines: Annotated[int | None, typer.Option(help="Jobs that run at the same time, on machines or cores.")] = None,
    write: Annotated[bool, typer.Option("--write", help="Write the chosen values to the config.")] = False,
    calibrate: Annotated[
        bool, typer.Option("--calibrate", help="Measure speed and compression here, in about a minute.")
    ] = False,
    rate: Annotated[
        float | None, typer.Option(help="Speed of the network in one job, in 10^6 input voxels per second.")
    ] = None,
    price: Annotated[float | None, typer.Option(help="Price of a machine per hour, in any currency.")] = None,
    start: Annotated[
        float | None, typer.Option(help="Seconds that a job takes to start; 0.3 here, 5 to 60 on clusters.")
    ] = None,
) -> None:
    """Show what a config means: region, blocks, patches, bytes, jobs, memory, time and cost; choose blocks for a budget."""
    from connectomake.cli.budget import Options, Outlook

    options = Options(max_memory, gpu_memory, hours, machines, write, calibrate, rate, price, start).checked()
    outlook = Outlook.of(common.open_plan(config), options)
    if write:
        outlook.write(config)
    if json:
        _print_json(outlook)
        return
    out = common.console()
    outlook.print_choice(out, config, write)
    made = outlook.plan
    out.print(common.key_value_table(_rows(made)))
    _print_layers(out, outlook)
    _print_rules(out, outlook)
    outlook.print_basis(out)
    _print_warnings(out, outlook)


def _rows(plan: "Plan") -> list[tuple[str, str]]:
    rows = [("source", _source(plan)), ("region", _region(plan)), ("blocks", _blocks(plan)), ("chunks", _chunks(plan))]
    rows += (
        [("network", common.LABELS if plan.method.labels else common.NO_NETWORK)] if plan.inference is None else _network(plan)
    )
    rows += _segmentation(plan)
    if plan.truth is not None:
        box = plan.evaluation_box
        rows.append(("evaluation", f"{plan.truth.path}: {voxels_text(box.volume)}, {box}"))
    return rows


def _source(plan: "Plan") -> str:
    s = plan.source
    dataset = f" [{s.dataset}]" if s.dataset else ""
    use = "read in place" if not plan.ingests else "ingested into the layer image"
    channels = counted(s.channels, "channel")
    return f"{s.path}{dataset}, {s.kind}, {s.dtype}, {channels}, voxels of {shape_text(s.voxel_size)} nm; {use}"


def _region(plan: "Plan") -> str:
    size = [n * v / 1000 for n, v in zip(plan.roi.shape, plan.source.voxel_size, strict=True)]
    whole = " (all of the source)" if plan.roi == plan.source.bounds else ""
    return f"{plan.roi}: {voxels_text(plan.roi.volume)}, {' x '.join(f'{v:.3g}' for v in size)} µm{whole}"


def _blocks(plan: "Plan") -> str:
    grid = plan.grid
    cut = [a for a, r, b in zip("zyx", plan.roi.shape, plan.block, strict=True) if r % b]
    ends = f", cut off at the end along {', '.join(cut)}" if cut else ""
    ids = f"ids {grid.name(0)} to {grid.name(grid.id_at((grid.shape[0] - 1, grid.shape[1] - 1, grid.shape[2] - 1)))}"
    gaps = " with gaps" if grid.count < 1 << grid.id_bits else ""
    shape = f"{shape_text(plan.block)} ({voxels_text(plan.block[0] * plan.block[1] * plan.block[2])})"
    return f"{shape_text(grid.shape)} = {counted(grid.count, 'block')} of {shape}{ends}; {ids}{gaps}"


def _chunks(plan: "Plan") -> str:
    per_axis = plan.block[0] // plan.chunk[0]
    return f"storage chunks of {shape_text(plan.chunk)}, {per_axis**3:,} in a block"


def _network(plan: "Plan") -> list[tuple[str, str]]:
    from connectomake.cli.estimates import passes

    spec, work = plan.inference, passes(plan)
    if spec is None or work is None:
        return []
    output = "" if spec.output_patch == spec.patch else f" -> {shape_text(spec.output_patch)}"
    network = f"{plan.config['inference']['model']}: patch {shape_text(spec.patch)}{output}, overlap {shape_text(spec.overlap)}"
    batches = f" in batches of {spec.batch}" if spec.batch > 1 else ""
    lattice = f"{shape_text(work.lattice)} = {work.patches:,} patches"
    cost = f"{work.forward_passes:,} forward passes{batches}, recompute factor {work.recompute_factor:.2f}"
    return [
        ("network", f"{network}; {counted(spec.channels, 'channel')} of {spec.dtype}, device {spec.device}"),
        ("patch lattice", f"{lattice}; {cost}"),
        *([("promise", spec.void_note)] if spec.void else []),
    ]


def _joining(agglomeration: dict[str, Any] | None, min_supervoxel: int) -> str:
    """Say how basins are joined."""
    text = f", basins below {min_supervoxel} voxels joined" if min_supervoxel > 1 else ""
    if agglomeration is None:
        return text
    absorb, large = agglomeration["absorb"], agglomeration["large"]
    further = agglomeration["thresholds"]
    text += f", agglomerated to {agglomeration['threshold']}" + (
        f" (also to {', '.join(map(str, further))})" if further else ""
    )
    text += f", from {large['voxels']} voxels to {large['threshold']}" if large else ""
    return text + (f", below {absorb} voxels absorbed" if absorb else "")


def _fan_out(plan: "Plan") -> str:
    """Return the octree's fan-out, and why it is smaller than the config's."""
    from connectomake.planning.fan_out import MB, fan_out_bits, node_bytes

    bits, allowed = plan.octree.bits, fan_out_bits(plan)
    if bits == allowed:
        return f"{1 << bits}"
    needed, room = (bytes_text(n) for n in (node_bytes(plan, allowed), plan.config["merge"]["memory_mb"] * MB))
    return f"{1 << bits} (a job with {1 << allowed} children would take about {needed}; merge.memory_mb allows {room})"


def _segmentation(plan: "Plan") -> list[tuple[str, str]]:

    section = plan.config["segmentation"]
    text = f"{plan.method.name} {plan.method.described(section)}, min_size {section['min_size']}"
    text += _joining(plan.config["agglomeration"], section["min_supervoxel"])
    levels = plan.octree.counts()
    tree = f"fan-out {_fan_out(plan)}, {counted(len(levels), 'level')}: "
    rows = [("segmentation", text)]
    if not plan.keeps_ids:
        rows.append(("octree", tree + ", ".join(counted(n, "node") for n in levels)))
    if plan.meshes_enabled:
        groups, *above = plan.mesh_tree.counts()
        cells = shape_text(plan.config["meshes"]["cell"])
        rows.append(
            (
                "meshes",
                f"cells of {cells}, {shape_text(plan.cells.shape)} of them; {counted(groups, 'job')} of up to "
                f"{counted(1 << plan.mesh_tree.group_bits, 'block')}, {sum(above):,} to gather, "
                f"{counted(plan.mesh_spec.sharding.count, 'file')}",
            )
        )
    return rows + _skeletons(plan)


def _skeletons(plan: "Plan") -> list[tuple[str, str]]:
    from connectomake.planning.skeletons import Skeletons

    skeletons = Skeletons(plan)
    if not skeletons.enabled:
        return []
    spec, (groups, *above) = skeletons.spec, skeletons.tree.counts()
    text = (
        f"cells of {shape_text(spec.cell)}, {shape_text(spec.lattice.shape)} of them; {counted(groups, 'job')} of up to "
        f"{counted(1 << skeletons.tree.group_bits, 'block')}, {sum(above):,} to gather, "
        f"{counted(len(skeletons.numbers), 'file')}; scale {spec.scale:g}, const {spec.const:g} nm, "
        f"objects of {spec.min_voxels:,} voxels or more"
    )
    return [("skeletons", text)]


def _print_layers(out: "Console", outlook: "Outlook") -> None:
    from connectomake.budget.forecast import stored_bytes
    from connectomake.cli.estimates import layer_costs

    plan, stored = outlook.plan, stored_bytes(outlook.plan, outlook.rates)
    columns = ["shards", "raw size", *(["stored, about"] if stored else [])]
    table = common.columns_table(f"\nlayers in {plan.outdir}", ["layer", "voxel type", "stays"], columns)
    costs = layer_costs(plan)
    for c in costs:
        dtype = c.dtype if c.channels == 1 else f"{c.dtype} x {c.channels}"
        more = [bytes_text(stored[c.name]) if c.name in stored else ""] if stored else []
        table.add_row(c.name, dtype, "yes" if c.kept else "deleted when used", f"{c.shards:,}", bytes_text(c.bytes), *more)
    table.add_section()
    more = [bytes_text(sum(stored.values()))] if stored else []
    table.add_row("together", "", "", f"{sum(c.shards for c in costs):,}", bytes_text(sum(c.bytes for c in costs)), *more)
    out.print(table)


def _print_rules(out: "Console", outlook: "Outlook") -> None:
    from connectomake.budget.forecast import dag_cost
    from connectomake.cli.estimates import rule_costs

    plan, found = outlook.plan, outlook.forecast
    table = common.columns_table(
        "jobs", ["rule"], ["jobs", "memory of a job", "time limit of a job", "about, all on one core", *outlook.columns]
    )
    costs = [c for c in rule_costs(plan, found) if c.jobs]
    for c in costs:
        about = "" if c.seconds is None else seconds_text(c.seconds)
        more = outlook.cells(c.rule)
        table.add_row(c.rule, f"{c.jobs:,}", bytes_text(c.memory_mb * 1e6), seconds_text(60 * c.minutes), about, *more)
    table.add_section()
    jobs = sum(c.jobs for c in costs)
    total = seconds_text(sum(c.seconds or 0 for c in costs))
    largest = bytes_text(max(c.memory_mb for c in costs) * 1e6)
    table.add_row("together", f"{jobs:,}", largest, "", total, *outlook.totals())
    out.print(table)
    seconds, memory = dag_cost(jobs)
    if jobs > 2000:
        out.print(f"Snakemake itself takes about {seconds_text(seconds)} and {bytes_text(memory)} to plan these jobs.")


def _print_warnings(out: "Console", outlook: "Outlook") -> None:
    from rich.text import Text

    for text in outlook.warnings():
        out.print(Text.assemble(("warning: ", "yellow"), text))


def _print_json(outlook: "Outlook") -> None:
    import json
    from dataclasses import asdict

    from connectomake.cli.estimates import layer_costs, passes, rule_costs, summary_values
    from connectomake.cli.proposals import proposals

    plan = outlook.plan
    work = passes(plan)
    value: dict[str, Any] = {
        **summary_values(plan),
        "source": plan.to_json()["source"],
        "patches": None if work is None else asdict(work),
        "layers": [asdict(c) for c in layer_costs(plan)],
        "rules": [asdict(c) for c in rule_costs(plan, outlook.forecast)],
        "better_blocks": [asdict(p) for p in proposals(plan)],
        "warnings": outlook.warnings(),
        **outlook.values(),
    }
    print(json.dumps(value, indent=2))
