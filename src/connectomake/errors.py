"""The errors that users see: one sentence each, naming the value, the place and what to do."""

from connectomake.credentials import redacted


class ConnectomakeError(Exception):
    """Base of every error that connectomake raises on purpose. Passwords and tokens in URLs are not shown."""

    def __str__(self) -> str:
        return redacted(super().__str__())


class ConfigError(ConnectomakeError, ValueError):
    """A value of the config is wrong or contradicts another."""


class SourceError(ConnectomakeError, OSError):
    """The source image cannot be reached, read or understood."""


class ContentError(ConnectomakeError, ValueError):
    """A source was written to, and it is unknown whether its content is the same."""


class LayerError(ConnectomakeError, OSError):
    """A file of a layer (shard, table, info) is missing, truncated or does not fit its layer."""


class ModelError(ConnectomakeError, ValueError):
    """A model file or its weights cannot be loaded or give an output of the wrong form."""


class RunError(ConnectomakeError, RuntimeError):
    """A stage met data it cannot process."""


class QueueError(ConnectomakeError, RuntimeError):
    """A queue, or what lies in it, cannot be used."""


class StorageError(ConnectomakeError, OSError):
    """A storage cannot be reached, read or written."""


class OtherSettingsError(LayerError):
    """A file is whole, but not that of the config."""
