"""Volumes for other programs: any source or layer, written block by block in a format of `connectomake.exporting.formats`."""

from connectomake.exporting.copying import export_volume, whole
from connectomake.exporting.formats import FORMATS, ExportFormat, format_of
from connectomake.exporting.volume import Level, Options, levels_of

__all__ = ["FORMATS", "ExportFormat", "Level", "Options", "export_volume", "format_of", "levels_of", "whole"]
