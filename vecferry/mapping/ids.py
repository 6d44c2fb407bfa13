"""Which id a point has in the target: the specification is ``docs/target-ids.md``.

The functions live with the stores, which need them to write and to read back;
this is their public door.
"""

from vecferry.stores.identity import NAMESPACE, hashed_id, is_native, target_id

__all__ = ["NAMESPACE", "hashed_id", "is_native", "target_id"]
