"""The config: schema, defaults, checks. It knows nothing of sources or stages."""

from connectomake.config.checks import check_channels, check_config, default_chunk, threshold_text
from connectomake.config.load import check_plain, normalise, schema
from connectomake.config.reading import load_config

__all__ = [
    "check_channels", "check_config", "check_plain", "default_chunk", "load_config", "normalise", "schema", "threshold_text",
]  # fmt: skip
