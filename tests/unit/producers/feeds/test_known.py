import os
import sqlite3
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from vecferry.errors import ConfigError, HaltError, TransientError
from vecferry.producers.feeds.known import Held, Known, Seen, State, Times


def seen(*keys: bytes, digest: bytes = b"d", state: State = State.SETTLED) -> list[Seen]:
    return [Seen(key, digest, state) for key in keys]


def test_what_was_recorded_is_there_after_a_restart(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    known.begin()
    known.record(seen(b"a", b"b", state=State.HINTED), {0: 7, 2: 1})
    known.set_times(Times(None, 5))
    known.close()
    again = Known(tmp_path, "docs", "log")
    assert again.look([b"a", b"c"]) == {b"a": Held(b"d", State.HINTED)}
    assert again.marks() == {0: 7, 2: 1}
    assert again.times() == Times(None, 5)
    assert again.number == 1
    again.close()


def test_a_mark_never_goes_back(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    known.record([], {0: 7})
    known.record([], {0: 3, 1: 1})
    assert known.marks() == {0: 7, 1: 1}
    known.close()


def test_many_keys_are_looked_up_in_pages(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    keys = [b"%05d" % number for number in range(2_000)]
    known.record(seen(*keys[::2]), {})
    assert list(known.look(keys)) == keys[::2]
    assert known.count() == 1_000
    known.close()


def test_what_a_pass_did_not_see_comes_in_pages_and_in_order(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    known.begin()
    known.record(seen(b"a", b"b", b"c", b"d", b"e"), {})
    known.begin()
    known.record(seen(b"c"), {})
    assert list(known.unseen(b"", 2)) == [b"a", b"b"]
    assert list(known.unseen(b"b", 9)) == [b"d", b"e"]
    known.bury([b"a"], [b"b"], {0: 1})
    assert known.look([b"a", b"b"]) == {b"a": Held(b"d", State.GONE)}
    assert known.count() == 3
    known.close()


def test_what_was_said_to_another_log_does_not_count(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    known.begin()
    known.record(seen(b"a"), {0: 7})
    known.set_times(Times(1, 2))
    known.close()
    other = Known(tmp_path, "docs", "another log")
    assert not other.look([b"a"])
    assert (other.marks(), other.times(), other.number) == ({}, Times(None, None), 0)
    other.close()


def test_two_collections_have_two_states_whatever_their_names(tmp_path: Path) -> None:
    one, two = Known(tmp_path, "a/b", "log"), Known(tmp_path, "..", "log")
    one.record(seen(b"a"), {})
    assert not two.look([b"a"])
    assert {path.parent for path in tmp_path.rglob("*")} == {tmp_path}
    one.close()
    two.close()


def test_a_transaction_that_fails_leaves_nothing(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")

    def failing() -> "list[Seen]":
        raise RuntimeError

    with pytest.raises(RuntimeError):
        known.record((one for make in (lambda: seen(b"a"), failing) for one in make()), {0: 1})
    assert not known.look([b"a"])
    assert known.marks() == {}
    known.close()


def test_a_state_that_another_process_holds_is_refused(tmp_path: Path) -> None:
    known = Known(tmp_path, "docs", "log")
    code = """
        import sys
        from pathlib import Path
        from vecferry.errors import ConfigError
        from vecferry.producers.feeds.known import Known
        try:
            Known(Path(sys.argv[1]), "docs", "log")
        except ConfigError as error:
            print(error)
    """
    asked = [sys.executable, "-c", textwrap.dedent(code), str(tmp_path)]
    told = subprocess.run(asked, capture_output=True, text=True, check=True, env=os.environ)
    assert "held by another process" in told.stdout
    known.close()


def test_a_file_that_is_no_database_is_begun_anew(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "docs.sqlite").write_bytes(b"not a database " * 1_000)
    known = Known(tmp_path, "docs", "log")
    known.record(seen(b"a"), {})
    assert known.count() == 1
    assert "damaged" in caplog.text
    known.close()


def test_a_folder_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(ConfigError, match=r"feed\.state"):
        Known(tmp_path / "file" / "state", "docs", "log")


def test_a_path_that_is_no_file_is_told(tmp_path: Path) -> None:
    (tmp_path / "docs.sqlite").mkdir()
    with pytest.raises(ConfigError, match=r"feed\.state"):
        Known(tmp_path, "docs", "log")


@pytest.mark.parametrize(
    ("code", "kind"),
    [(sqlite3.SQLITE_CORRUPT, HaltError), (sqlite3.SQLITE_FULL, TransientError)],
)
def test_a_failure_of_the_disk_is_told_by_its_code(
    tmp_path: Path, code: int, kind: type[Exception]
) -> None:
    known = Known(tmp_path, "docs", "log")
    real = known._db

    class Failing:
        def execute(self, *_: object) -> None:
            error = sqlite3.OperationalError("no words are read")
            error.sqlite_errorcode, error.sqlite_errorname = code, "NAME"
            raise error

    known._db = Failing()  # type: ignore[assignment]
    with pytest.raises(kind, match=r"docs\.sqlite"):
        known.count()
    real.close()
