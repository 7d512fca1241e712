"""Training an affinity network on annotated volumes."""
