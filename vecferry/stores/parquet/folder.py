"""The folder: files that are there whole or not at all, and what of them is in memory.

In memory are the keys, each with the place of its image, and the row groups
that were decoded last.
"""

import contextlib
import difflib
import fcntl
import os
import uuid
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from threading import RLock
from typing import Any, NamedTuple
from urllib.parse import quote, unquote

import fsspec

from vecferry.errors import ConfigError, HaltError
from vecferry.model import Collection, Id, Image, parse_typed_id
from vecferry.ports import Write
from vecferry.stores.memory.held import Database, Held
from vecferry.stores.parquet.errors import translate_errors
from vecferry.stores.parquet.manifest import (
    NAME,
    File,
    Manifest,
    checksum,
    decode_manifest,
    encode_manifest,
)
from vecferry.stores.parquet.rows import GROUP_ROWS, decode_group, decode_keys, encode_rows

_GROUPS = 32


class Lying(NamedTuple):
    """A point that lies in a file: what :class:`~vecferry.stores.memory.held.Stored` is in memory."""

    id: Id
    version: int
    held: "Shelf"
    file: File
    row: int

    @property
    def image(self) -> Image:
        """Read it, with the whole row group around it."""
        return self.held.image(self.file, self.row)


class Shelf(Held):
    """One collection: its keys by place, and the files of its manifest that were read."""

    def __init__(self, folder: "Folder", path: str, manifest: Manifest) -> None:
        super().__init__(manifest.schema)
        self.path, self.identity = path, manifest.identity
        self.files: tuple[File, ...] = ()
        self._folder = folder
        self._groups: OrderedDict[tuple[str, int], list[Image]] = OrderedDict()
        self._content: tuple[str, bytes] = ("", b"")

    def take(self, file: File) -> None:
        """Take in the keys of the next file."""
        for row, (namespace, typed, deleted) in enumerate(decode_keys(self._read(file))):
            if deleted:
                self.remove((namespace, typed))
            else:
                lying: Any = Lying(parse_typed_id(typed), -1, self, file, row)
                self.put((namespace, typed), lying)
        self.files = (*self.files, file)

    def image(self, file: File, row: int) -> Image:
        """Return the image in that row."""
        group, at = divmod(row, GROUP_ROWS)
        found = self._groups.get((file.name, group))
        if found is None:
            found = decode_group(self.schema, self._read(file), group)
            self._groups[file.name, group] = found
            if len(self._groups) > _GROUPS:
                self._groups.popitem(last=False)
        self._groups.move_to_end((file.name, group))
        return found[at]

    def _read(self, file: File) -> bytes:
        if self._content[0] != file.name:
            path = f"{self.path}/{file.name}"
            data = self._folder.load(path)
            if data is None:
                raise HaltError(f"{path} is missing, and the manifest names it: restore it")
            file.require_intact(data, path)
            self._content = file.name, data
        return self._content[1]


class Folder(Database):
    """A folder of collections. The owner of ``lock`` alone may touch it."""

    def __init__(self, url: str) -> None:
        super().__init__()
        if not url:
            raise ConfigError("url is empty: a Parquet store is a folder, or what fsspec opens")
        try:
            self._files, self._root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise ConfigError(f"url = {url!r} cannot be opened: {error}") from error
        self._is_local = "file" in self._files.protocol
        self._writing = RLock()

    def names(self) -> list[str]:
        """Return the names of all collections, sorted."""
        self._files.invalidate_cache()
        if not self._files.exists(self._root):
            return []
        found = (path.rstrip("/") for path in self._files.ls(self._root, detail=False))
        return sorted(
            unquote(path.rpartition("/")[2])
            for path in found
            if self._files.exists(f"{path}/{NAME}")
        )

    def held(self, name: str) -> Held:
        """Return a collection as its manifest is now.

        Raises:
            ConfigError: There is none of that name; the nearest is given.
            HaltError: A file is damaged or missing.
        """
        return self.shelf(name)

    def shelf(self, name: str) -> Shelf:
        """Return a collection as its manifest is now; see :meth:`held`."""
        path = self._path(name)
        data = self.load(f"{path}/{NAME}")
        if data is None:
            near = difflib.get_close_matches(name, self.names(), n=1, cutoff=0.0)
            hint = f"the nearest is {near[0]!r}" if near else "there is none at all"
            raise ConfigError(f"there is no collection {name!r} in {self._root}: {hint}")
        manifest = decode_manifest(data, f"{path}/{NAME}")
        shelf = self.collections.get(name)
        if not (
            isinstance(shelf, Shelf)
            and shelf.identity == manifest.identity
            and manifest.files[: len(shelf.files)] == shelf.files
        ):
            shelf = Shelf(self, path, manifest)
        for file in manifest.files[len(shelf.files) :]:
            shelf.take(file)
        self.collections[name] = shelf
        return shelf

    def make(self, collection: Collection) -> None:
        """Write the manifest of an empty collection.

        Raises:
            ConfigError: It exists.
        """
        path = self._path(collection.name)
        with translate_errors(path):
            self._files.makedirs(path, exist_ok=True)
        with self.writing(collection.name):
            if self.load(f"{path}/{NAME}") is not None:
                raise ConfigError(f"collection {collection.name!r} exists already")
            manifest = Manifest(collection, uuid.uuid4().hex)
            self._keep(f"{path}/{NAME}", encode_manifest(manifest))

    def remove(self, name: str) -> None:
        """Remove a collection: its manifest first, so that no half of it is seen."""
        path = self._path(name)
        if self._files.exists(f"{path}/{NAME}"):
            self._files.rm_file(f"{path}/{NAME}")
            self._files.rm(path, recursive=True)
        self.collections.pop(name, None)

    def append(self, shelf: Shelf, writes: Sequence[Write]) -> None:
        """Add a file, durably, then the manifest that names it."""
        data = encode_rows(shelf.schema, writes)
        name = f"{len(shelf.files):06d}-{uuid.uuid4().hex[:12]}.parquet"
        file = File(name, len(writes), len(data), checksum(data))
        # 1. the file, because a manifest may only name what is whole
        self._keep(f"{shelf.path}/{name}", data)
        # 2. its keys, for the count
        before = shelf.files
        shelf.take(file)
        # 3. the manifest: with it the writes are done
        manifest = Manifest(shelf.schema, shelf.identity, (*before, file), len(shelf.points))
        try:
            self._keep(f"{shelf.path}/{NAME}", encode_manifest(manifest))
        except BaseException:
            self.collections.pop(shelf.schema.name, None)  # memory is ahead of the manifest
            raise

    @contextlib.contextmanager
    def writing(self, name: str) -> Iterator[None]:
        """Keep other writers of a local folder away, those of other processes too."""
        with self._writing, contextlib.ExitStack() as stack:
            if self._is_local:
                try:
                    lock = stack.enter_context(open(f"{self._path(name)}/.lock", "ab"))
                except FileNotFoundError:
                    yield  # no such collection: whoever writes is told so
                    return
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def load(self, path: str) -> bytes | None:
        """Return a file's bytes, None where there is none."""
        try:
            with translate_errors(path):
                return bytes(self._files.cat_file(path))
        except FileNotFoundError:
            return None

    def _keep(self, path: str, data: bytes) -> None:
        with translate_errors(path):
            if self._is_local:
                _keep_file(path, data)
            else:
                self._files.pipe_file(path, data)  # an object is there whole or not at all

    def _path(self, name: str) -> str:
        return f"{self._root}/{quote(name, safe='')}"


def _keep_file(path: str, data: bytes) -> None:
    part = f"{path}.part"
    with open(part, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)
    folder = os.open(os.path.dirname(path), os.O_RDONLY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
