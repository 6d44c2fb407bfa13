import struct

import pytest

from vecferry.errors import HaltError
from vecferry.stores.pgvector.wal import Changed, Decoder

TABLE = (
    b"R"
    + struct.pack(">i", 7)
    + b"public\0docs\0"
    + b"d"
    + struct.pack(">h", 2)
    + b"\1k\0"
    + struct.pack(">ii", 23, -1)
    + b"\0n\0"
    + struct.pack(">ii", 25, -1)
)
NAME = ("public", "docs")


def row(*values: str | None) -> bytes:
    cells = [
        b"n" if v is None else b"t" + struct.pack(">i", len(v.encode())) + v.encode()
        for v in values
    ]
    return struct.pack(">h", len(values)) + b"".join(cells)


def decoded(message: bytes) -> Changed:
    decoder = Decoder()
    decoder.decode(TABLE)
    return decoder.decode(message)


@pytest.mark.parametrize(
    ("message", "rows"),
    [
        (b"I" + struct.pack(">i", 7) + b"N" + row("1", "é"), ((True, {"k": "1", "n": "é"}),)),
        (b"U" + struct.pack(">i", 7) + b"N" + row("1", None), ((True, {"k": "1"}),)),
        (
            b"U" + struct.pack(">i", 7) + b"K" + row("1", None) + b"N" + row("2", "x"),
            ((False, {"k": "1"}), (True, {"k": "2", "n": "x"})),
        ),
        (b"D" + struct.pack(">i", 7) + b"K" + row("1", None), ((False, {"k": "1"}),)),
        (b"D" + struct.pack(">i", 7) + b"O" + row("1", "x"), ((False, {"k": "1", "n": "x"}),)),
        (
            b"U" + struct.pack(">i", 7) + b"N" + struct.pack(">h", 2) + b"t\0\0\0\0011" + b"u",
            ((True, {"k": "1"}),),
        ),
    ],
)
def test_rows_are_known_before_and_after(message: bytes, rows: object) -> None:
    assert decoded(message) == Changed((NAME,), rows)  # type: ignore[arg-type]


def test_a_truncated_table_has_no_rows() -> None:
    assert decoded(b"T" + struct.pack(">ibi", 1, 0, 7)) == Changed((NAME,))


def test_the_end_of_a_commit_is_spelled_as_postgres_spells_it() -> None:
    commit = b"C" + struct.pack(">bqqq", 0, 1, (0x1A << 32) + 0xBC0, 2)
    assert decoded(commit) == Changed(end="1A/BC0")


@pytest.mark.parametrize("message", [b"B" + b"\0" * 20, b"O", b"Y", b"M"])
def test_what_changes_no_row_says_nothing(message: bytes) -> None:
    assert decoded(message) == Changed()


@pytest.mark.parametrize(
    "message",
    [
        b"",
        b"Z",
        b"D" + struct.pack(">i", 8) + b"K" + row("1"),
        b"D" + struct.pack(">i", 7) + b"K" + row("1")[:-1],
        b"D" + struct.pack(">i", 7) + b"K" + struct.pack(">h", 1) + b"z",
    ],
)
def test_what_is_not_understood_halts(message: bytes) -> None:
    with pytest.raises(HaltError):
        decoded(message)
