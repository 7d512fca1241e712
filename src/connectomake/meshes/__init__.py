"""Meshes: fragments per (object, cell), packs of them, and the shards that Neuroglancer reads."""

from connectomake.layers.id_shards import IdSharding
from connectomake.layers.slabs import block_slabs, box_of, halo_blocks
from connectomake.meshes.blocks import mesh_fragments, slab_fragments
from connectomake.meshes.cells import Fragment, cell_triangles, marching_cubes, mesh_cell, stored_mesh
from connectomake.meshes.lattice import MeshSpec
from connectomake.meshes.pack import PackReader, merge_packs, write_pack
from connectomake.meshes.shards import mesh_info, mesh_shard

__all__ = [
    "Fragment", "IdSharding", "MeshSpec", "PackReader", "block_slabs", "box_of", "cell_triangles", "halo_blocks",
    "marching_cubes", "merge_packs", "mesh_cell", "mesh_fragments", "mesh_info", "mesh_shard", "slab_fragments", "stored_mesh",
    "write_pack",
]  # fmt: skip
