"""Included networks and the reading of weights, shared by training and inference."""
