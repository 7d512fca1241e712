"""The config: schema, defaults, checks. It knows nothing of sources or stages."""

from connectomake.config.checks import check_channels, check_config, default_chunk, threshold_text
from connectomake.config.load import check_plain, normalise, schema
from connectomake.config.methods import METHODS, Method, method_of
from connectomake.config.reading import load_config

__all__ = [
    "METHODS", "Method", "check_channels", "check_config", "check_plain", "default_chunk", "load_config", "method_of",
    "normalise", "schema", "threshold_text",
]  # fmt: skip
