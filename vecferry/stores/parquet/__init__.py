"""Parquet files in a folder, or in whatever fsspec opens: a store at rest.

``url`` is a folder; each collection is a folder in it, with a manifest and the
files that it names, in order. See ``docs/parquet.md``.
"""

from vecferry.settings import StoreSettings
from vecferry.stores.parquet.folder import Folder
from vecferry.stores.parquet.store import CAPABILITIES, ParquetStore

__all__ = ["CAPABILITIES", "ParquetStore", "connect"]


def connect(settings: StoreSettings) -> ParquetStore:
    """Open the folder that ``settings.url`` names; it is made at the first write.

    Raises:
        ConfigError: The URL is empty, or no file system has its scheme.
    """
    return ParquetStore(Folder(settings.url))
