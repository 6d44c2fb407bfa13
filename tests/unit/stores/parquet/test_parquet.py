"""Files that are whole, and intact."""

from pathlib import Path

import pytest

from vecferry.errors import HaltError
from vecferry.model import VectorSpec
from vecferry.settings import StoreSettings
from vecferry.stores import open_store
from vecferry.testing.subjects import Subject, create


def subject_in(folder: Path) -> Subject:
    store = open_store(StoreSettings(type="parquet", url=str(folder)))
    return create(store, VectorSpec("body", dim=8, metric="l2"))


def again(folder: Path, subject: Subject) -> Subject:
    store = open_store(StoreSettings(type="parquet", url=str(folder)))
    return Subject(store, subject.ref, subject.vector)


def files(folder: Path, subject: Subject) -> list[Path]:
    return sorted((folder / subject.ref.name).glob("*.parquet"))


def test_a_new_client_sees_what_was_written_and_deleted(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    points = [subject.point(n) for n in range(2_500)]
    subject.put(points)
    subject.delete([points[0].key])
    subject.put([subject.point(1, "new")])
    other = again(tmp_path, subject)
    assert other.get(*(p.key for p in points)) == [None, subject.point(1, "new"), *points[2:]]


def test_an_open_client_sees_what_another_one_writes(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    other = again(tmp_path, subject)
    for n in range(3):
        (subject, other)[n % 2].put([subject.point(n)])
        assert other.store.count(subject.ref.name) == n + 1
        assert subject.store.count(subject.ref.name) == n + 1


def test_a_flipped_byte_is_an_error_that_names_the_file(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    subject.put([subject.point(1)])
    [file] = files(tmp_path, subject)
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    with pytest.raises(HaltError, match=file.name):
        again(tmp_path, subject).get(subject.point(1).key)


def test_a_missing_file_is_an_error_that_names_it(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    subject.put([subject.point(1)])
    [file] = files(tmp_path, subject)
    file.unlink()
    with pytest.raises(HaltError, match=file.name):
        again(tmp_path, subject).get(subject.point(1).key)


def test_a_file_that_no_manifest_names_is_not_there(tmp_path: Path) -> None:
    subject = subject_in(tmp_path)
    manifest = tmp_path / subject.ref.name / "manifest.json"
    before = manifest.read_bytes()
    subject.put([subject.point(1)])
    manifest.write_bytes(before)  # killed between the file and the manifest
    other = again(tmp_path, subject)
    assert other.get(subject.point(1).key) == [None]
    assert other.store.count(subject.ref.name) == 0
