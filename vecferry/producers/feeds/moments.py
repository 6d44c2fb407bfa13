"""Times in payloads: numbers since 1970 or texts of RFC 3339, as microseconds."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from vecferry.errors import RecordError
from vecferry.payload import decode_payload
from vecferry.ports import Since

_PER_S: Mapping[str, int] = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST = int((datetime(1, 1, 2, tzinfo=UTC) - _EPOCH).total_seconds()) * 10**6
_LAST = int((datetime(9999, 12, 30, tzinfo=UTC) - _EPOCH).total_seconds()) * 10**6


class Moments:
    """Reads the times of one payload field."""

    def __init__(self, field: str, unit: str) -> None:
        """Read ``field``, where dots lead into objects; ``unit`` is that of a number: s, ms, us or ns."""
        self._field, self._path, self._per_s = field, field.split("."), _PER_S[unit]

    def of(self, payload: bytes) -> int | None:
        """Return a point's time in microseconds since 1970, or None where it has none."""
        try:
            value: Any = decode_payload(payload)
        except RecordError:
            return None
        for name in self._path:
            value = value.get(name) if isinstance(value, dict) else None
        if isinstance(value, bool):
            return None
        if isinstance(value, int):
            return value * 10**6 // self._per_s
        if isinstance(value, float):
            return int(value * (10**6 / self._per_s))
        return _of_text(value) if isinstance(value, str) else None

    def since(self, moment_us: int) -> Since:
        """Return what to ask a store for: everything from this moment on."""
        inside = min(max(moment_us, _FIRST), _LAST)
        return Since(
            self._field,
            moment_us * self._per_s // 10**6,
            _EPOCH + timedelta(microseconds=inside),
        )


def _of_text(text: str) -> int | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    if moment.tzinfo is None:
        moment = moment.replace(tzinfo=UTC)
    return (moment - _EPOCH) // timedelta(microseconds=1)
