"""Exports for proofreading: the graph of a run's supervoxels, doubtful merges and splits, files of other programs."""
