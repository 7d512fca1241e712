"""Tests on real clusters, started on loopback in a temporary folder: Slurm, Kubernetes."""
