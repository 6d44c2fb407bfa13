r"""Filter expressions over primary keys, with every value spelled safely.

Milvus reads a string literal as Go does and Milvus Lite by rules of its own;
both take a backslash before a quote, a backslash and the control characters
``n`` and ``r``, and every other character as it is (Lite knows no ``\u``).
"""

from collections.abc import Sequence

from vecferry.ports import Bounds

_ESCAPES = str.maketrans({"\\": "\\\\", '"': '\\"', "\n": "\\n", "\r": "\\r"})
INT_MIN = -(2**63)


def literal(value: int | str) -> str:
    """Spell a key's value in an expression."""
    if isinstance(value, str):
        return f'"{value.translate(_ESCAPES)}"'
    # Milvus 2.3 reads the digits before the sign, and 2**63 is out of range
    return "(-9223372036854775807 - 1)" if value == INT_MIN else str(value)


def any_of(field: str, values: Sequence[int | str]) -> str:
    """Match the rows with one of these keys."""
    plain = [literal(value) for value in values if value != INT_MIN]
    found = f"{field} in [{','.join(plain)}]"
    if len(plain) == len(values):
        return found
    # the smallest integer is no literal that a list takes
    smallest = f"{field} < -9223372036854775807"
    return f"{found} or {smallest}" if plain else smallest


def first(field: str, low: int | str) -> str:
    """Match the rows from ``low`` on, inclusive."""
    return f"{field} >= {literal(low)}"


def behind(field: str, last: int | str) -> str:
    """Match the rows behind ``last``."""
    return f"{field} > {literal(last)}"


def below(field: str, high: int | str) -> str:
    """Match the rows before ``high``, exclusive."""
    return f"{field} < {literal(high)}"


def parse_bound(text: str, is_int: bool) -> int | str:
    """Read a bound in the store's own spelling: digits, or the string itself."""
    return int(text) if is_int else text


def start_of(bounds: Bounds, is_int: bool) -> int | str:
    """Return the smallest key that the bounds admit."""
    if bounds.low is not None:
        return parse_bound(bounds.low, is_int)
    return INT_MIN if is_int else ""
