"""What jobs take, as measured: bytes per voxel, per patch, per byte of what is read, and the process with nothing read."""

LIGHT_PROCESS_MB = 100
PROCESS_MB = {
    "image": 260,
    "affinity": 600,
    "components": 220,
    "watershed": 300,
    "merge": 300,
    "lookup": LIGHT_PROCESS_MB,
    "agglomeration": 290,
    "history": 340,
    "segmentation": 250,
    "objects": 170,
    "measures": 260,
    "fragments": 340,
    "gather": 260,
    "meshes": 220,
    "traces": 300,
    "gather_traces": 220,
    "skeletons": 300,
    "ground_truth": 250,
    "contingency": 260,
    "evaluation": 110,
    "curve": 380,
    "pyramid": 260,
    "info": LIGHT_PROCESS_MB,
    "report_run": 200,
    "report_blocks": 200,
    "report_slices": 270,
    "report_objects": 760,
}
"""Memory of a stage's process before it reads anything, with some to spare; those with compiled code or torch need most."""
NETWORK_BYTES_PER_VOXEL = 1500
"""Of the input patch: measured 790 for residual U-Nets of 16 channels at full size, 1,050 with 24; wider ones need more."""
COMPONENTS_BYTES = 14
WATERSHED_BYTES = 10
"""Per voxel: labels, their table and graph; the three affinities are there twice while they are read."""
BOUNDARY_BYTES, INTERIOR_BYTES = 6, 4
"""Per voxel, where boundaries are left out: strongest edges and a copy of the labels; what is left of each label."""
ENCODED_BYTES = 16
"""Per voxel of a storage chunk: what its encoding can take at most, twice."""
TRACE_BYTES = 0.5
"""Per voxel of the region: one skeleton's voxel in 50 where objects are thin and dense, 22 bytes each; measured."""
GRAPH_TO_TABLES = 2.5
"""Estimated memory over bytes of the tables, of smooth affinities: 8 and 3.1 per voxel."""
PACK_BYTES = 0.2
"""Per voxel of the region, of mesh pieces."""
TRACED_BYTES, TRACED_HALO_BYTES = 50, 24
"""Per voxel of a cell, and of a cell with its halo."""
TILE_VOXELS = 1 << 23
SECTION_BYTES, SECTION_SIDE, BLOCK_BYTES = 200, 1024, 1000
"""Per voxel of a section in a report, labels, colours and their mixture in float64; voxels along its sides, at most; per block
that a report lists."""
DRAWN_BYTES, MOST_DRAWN = 25, 100 << 20
"""Per byte of the meshes that are drawn, and how many bytes the largest objects are taken to have at most."""
PAIRS_BYTES = 0.01
"""Per voxel, of contingency tables: about 200 pairs of labels and as many contacts in a million voxels."""
SUPERVOXEL_BYTES = 0.2
"""Per voxel, of tables of supervoxels: up to 5,000 pairs with true objects in a million voxels."""
READ_TABLES = {
    "merge": 1.5,
    "lookup": 0.6,
    "agglomeration": 6.0,
    "history": 2.5,
    "objects": 2.5,
    "evaluation": 4.0,
    "curve": 3.5,
    "gather": 0.15,
    "meshes": 0.15,
    "gather_traces": 6.0,
    "skeletons": 16.0,
}
"""Memory per byte of the tables that a stage reads, or of its share of them (`ONE_SHARD`). Measured on noise as on smooth
affinities: 1.0, 0.3, 5.5, 1.6 and 1.7; on tables of 50 to 170 MB: evaluation 3.4, curve 3.0, gather and meshes 0.1 (they hold
an index of pieces, of 1.5 kB each here), gather_traces 5.4, skeletons 14."""
ONE_SHARD, SKEW = ("meshes", "gather_traces", "skeletons"), 2
"""Stages that hold what belongs to one shard at a time, and how many times its share the largest one may have."""
HELD, HELD_TABLES = 700 << 20, 4
"""Bytes that stages which read range after range (`RANGED`) take at most, beside so many times the largest table: measured
620 MB for the objects, and 210 MB for the history of merges, of 10⁷ rows."""
RANGED = ("history", "objects")
LEAST_DISK_MB, DISK_TABLES = 200, 4
"""Disk of such a stage: so much, and so many times its tables: they may be brought to it, it puts their rows aside, twice where
it turns pairs of keys, and writes its own."""
NOISE_BYTES, LAST_ATTEMPT = 280, 3
"""Per voxel, the region graph of pure noise while it is made, a basin in every fourth voxel: measured 275. Nobody knows before
the job whether a network is that weak, so the last attempt of the cluster profiles asks for it."""
