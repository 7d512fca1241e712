"""What proofreading takes from a run: the graph of its supervoxels, doubtful merges and splits, files of other programs."""
