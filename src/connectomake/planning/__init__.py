"""Config and source resolved into a plan; the names, inputs, fingerprints and resources of every job follow from it."""
