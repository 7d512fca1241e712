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
    port: Annotated[int, typer.Option(help="Port of the local server; 0: any free one.", min=0, max=65535)] = 9000,
    host: Annotated[str, typer.Option(help="Address to serve at; 0.0.0.0 serves the whole network.")] = "127.0.0.1",
    at: Annotated[tuple[int, int, int] | None, typer.Option(metavar="Z Y X", help="Voxel to look at.")] = None,
    object_id: Annotated[int | None, typer.Option("--id", help="Object to select and look at.")] = None,
    print_only: Annotated[bool, typer.Option("--print-only", help="Print the links and end; serve nothing.")] = False,
) -> None:
    """Serve the layers to Neuroglancer and print its links; Ctrl-C ends. Nothing is written."""
    from connectomake.viewing import links, make_server, mounts, viewer_state

    plan = common.read_plan(config)
    position = _position(plan, at, object_id)
    if not viewer_state(plan, "", position)["layers"]:
        raise LayerError(f"there is no layer in {plan.outdir} to view; run snakemake first")
    if print_only:
        base = f"http://{_reachable(host)}:{port}"
        _print(links(base, viewer_state(plan, base, position, object_id)))
        return
    server = make_server(host, port, {name: folder for name, folder in mounts(plan).items() if folder.is_dir()})
    base = f"http://{_reachable(host)}:{server.server_address[1]}"
    server.state = viewer_state(plan, base, position, object_id)
    _print(links(base, server.state))
    print("serving; Ctrl-C ends", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        print()
    finally:
        server.server_close()


def _reachable(host: str) -> str:
    import socket

    return socket.gethostname() if host in ("0.0.0.0", "::") else host  # noqa: S104


def _print(named: dict[str, str]) -> None:
    for name, link in named.items():
        print(f"{name}: {link}")


def _position(plan: "Plan", at: "Vec | None", object_id: int | None) -> "Vec":
    """Return the voxel to look at: the one asked for, the object's first, or the middle of the region."""
    if at is not None:
        if not plan.roi.contains_voxel(at):
            raise ConfigError(f"voxel {at} (z, y, x) is outside the region of interest, {plan.roi}")
        return at
    start, shape = plan.roi.start, plan.roi.shape
    if object_id is None:
        z, y, x = (a + n // 2 for a, n in zip(start, shape, strict=True))
        return (z, y, x)
    if not 1 <= object_id <= plan.roi.volume:
        raise ConfigError(f"object {object_id} cannot exist: ids of this region are 1 to {plan.roi.volume}")
    plane, rest = divmod(object_id - 1, shape[1] * shape[2])
    return (start[0] + plane, start[1] + rest // shape[2], start[2] + rest % shape[2])
