"""The command line, ``connectomake``."""

from connectomake.cli.app import main

__all__ = ["main"]
