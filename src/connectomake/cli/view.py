"""``connectomake view``: serve the layers that exist, and print the links to look at them."""

from typing import TYPE_CHECKING, Annotated

import typer

from connectomake.cli import common
from connectomake.cli.common import DEFAULT_CONFIG, ConfigPath
from connectomake.errors import ConfigError, LayerError

if TYPE_CHECKING:
    from connectomake.geometry import Vec
    from connectomake.planning.plan import Plan


def view(
    config: ConfigPath = DEFAULT_CONFIG,
    port: Annotated[int, typer.Option(help="Port of the local server; 0: any free port.", min=0, max=65535)] = 9000,
    host: Annotated[str, typer.Option(help="Address to serve at; 0.0.0.0 serves the whole network.")] = "127.0.0.1",
    at: Annotated[tuple[int, int, int] | None, typer.Option(metavar="Z Y X", help="Voxel to look at.")] = None,
    object_ids: Annotated[
        list[int] | None, typer.Option("--id", help="Object to select and look at; may be given several times.")
    ] = None,
    allow_origin: Annotated[
        list[str] | None,
        typer.Option(
            "--allow-origin",
            help="Site whose pages may read the layers, such as https://example.org; may be given several times.",
        ),
    ] = None,
    print_only: Annotated[bool, typer.Option("--print-only", help="Print the links and exit; serve nothing.")] = False,
    browser: Annotated[bool, typer.Option("--open", help="Open the viewer in a browser.")] = False,
) -> None:
    """Serve the layers to Neuroglancer and print its links; Ctrl-C ends. Nothing is written."""
    from connectomake.viewing import contrast_warnings, links, make_server, mounts, viewer_state
    from connectomake.viewing.state import PUBLIC_CLIENT

    plan = common.read_plan(config)
    ids = object_ids or []
    position = _position(plan, at, ids)
    if not viewer_state(plan, "", position)["layers"]:
        raise LayerError(f"there is no layer in {plan.outdir} to view; run snakemake first")
    for warning in contrast_warnings(plan):
        common.note(warning)
    if print_only:
        base = f"http://{_reachable(host)}:{port}"
        _print(links(base, viewer_state(plan, base, position, ids)))
        common.note(f"the public viewer reads layers only from `connectomake view --allow-origin {PUBLIC_CLIENT.rstrip('/')}`")
        return
    server = make_server(
        host, port, {name: folder for name, folder in mounts(plan).items() if folder.is_dir()}, allow_origin or ()
    )
    base = f"http://{_reachable(host)}:{server.server_address[1]}"
    server.state, server.state_base = viewer_state(plan, base, position, ids), base
    _print(links(base, server.state, server.guard.token))
    print("serving; Ctrl-C ends", flush=True)
    if browser:
        _open(f"{base}/")
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


def _open(link: str) -> None:
    """Open a link in a browser, or say that there is none."""
    import webbrowser

    try:
        opened = webbrowser.open(link)
    except webbrowser.Error:
        opened = False
    if not opened:
        common.note(f"no browser was found here; open {link} in one")


def _reachable(host: str) -> str:
    import socket

    return socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104


def _print(named: dict[str, str]) -> None:
    for name, link in named.items():
        print(f"{name}: {link}")


def _position(plan: "Plan", at: "Vec | None", ids: list[int]) -> "Vec":
    """Return the voxel to look at: the one asked for, one inside the first object named, or the middle of the region."""
    inside = _inside(plan, ids) if ids else None
    if at is not None:
        if not plan.roi.contains_voxel(at):
            raise ConfigError(f"voxel {at} (z, y, x) is outside the region of interest, {plan.roi}")
        return at
    if inside is not None:
        return inside
    z, y, x = (a + n // 2 for a, n in zip(plan.roi.start, plan.roi.shape, strict=True))
    if _is_empty(plan):
        common.note("the segmentation holds no object: none reaches segmentation.min_size, or the threshold is too high")
    return (z, y, x)


def _is_empty(plan: "Plan") -> bool:
    from pathlib import Path

    from connectomake.objects import overview
    from connectomake.pipeline.targets import Targets

    path = Targets(plan).objects
    return Path(path).exists() and overview(path, 0).count == 0


def _inside(plan: "Plan", ids: list[int]) -> "Vec":
    """Return a voxel inside the first of the objects named, all of which must exist."""
    from pathlib import Path

    from connectomake.objects import rows_of
    from connectomake.pipeline.targets import Targets

    path = Targets(plan).objects
    if not Path(path).exists():
        raise LayerError(f"objects cannot be looked up: {plan.outdir} has no object table yet; run snakemake first")
    count, rows = rows_of(path, ids, [f"inside_{axis}" for axis in "zyx"])
    known = rows["id"].tolist()
    unknown = [i for i in ids if i not in known]
    if unknown:
        raise ConfigError(f"object {unknown[0]} does not exist; `connectomake summary` names the largest of {count:,}")
    z, y, x = (int(rows[f"inside_{axis}"][known.index(ids[0])]) for axis in "zyx")
    return (z, y, x)
