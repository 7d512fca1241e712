"""Looking at a run in Neuroglancer: the viewer's state, and a local server of the layers."""

from connectomake.viewing.contrast import contrast_warnings
from connectomake.viewing.server import LayerServer, make_server
from connectomake.viewing.state import links, mounts, viewer_state

__all__ = ["LayerServer", "contrast_warnings", "links", "make_server", "mounts", "viewer_state"]
