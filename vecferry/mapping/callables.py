"""The user's own functions among the transforms: found, called, and never trusted.

A function runs in an applier's writer threads and in those of the parity check:
one call at a time in a process, unless its setting ``concurrent`` says otherwise.
"""

import contextlib
import importlib
import inspect
import os
import sys
import threading
import traceback
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from vecferry.errors import ConfigError, HaltError, RecordError, TransientError
from vecferry.mapping.steps import Outcome
from vecferry.model import BITS, Dense, Image, Multi, Point, Sparse, Vector
from vecferry.payload import decode_payload, encode_payload
from vecferry.transform_settings import TransformSettings, VectorWords

_ONE_AT_A_TIME = threading.Lock()
_FRAMES = 3
_NOT_THE_RECORDS = (HaltError, ConfigError, MemoryError)
"""What a function raises of itself, not of the point it was given: the worker stops."""


def load_callable(name: str, folder: Path) -> Callable[[Any], Any]:
    """Return the function ``module:name``; its module lies in ``folder`` or on Python's path.

    Raises:
        ConfigError: It cannot be imported, is not there, or does not take one argument.
    """
    module_name, colon, attribute = name.partition(":")
    if not (module_name and colon and attribute):
        raise ConfigError(f"{name!r} is no function: spell it module:name")
    if (place := str(folder.resolve())) not in sys.path:
        sys.path.append(place)
    importlib.invalidate_caches()
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        missing = isinstance(error, ModuleNotFoundError) and module_name.startswith(
            error.name or "-"
        )
        why = "there is no such module" if missing else f"it raised {type(error).__name__}: {error}"
        raise ConfigError(
            f"the module of {name!r} cannot be imported: {why}. It is looked for in {place} and on "
            f"Python's path (PYTHONPATH)"
        ) from error
    found = getattr(module, attribute, None)
    if not callable(found):
        raise ConfigError(
            f"{getattr(module, '__file__', module_name)} has no function {attribute!r}"
        )
    if inspect.iscoroutinefunction(found):
        raise ConfigError(f"{name!r} is async: a transform is a plain function")
    try:
        inspect.signature(found).bind(object())
    except TypeError as error:
        raise ConfigError(f"{name!r} must take one argument: {error}") from error
    except ValueError:
        pass  # written in C, and says nothing of itself
    return found  # type: ignore[no-any-return]


class Called:
    """One function of the user's, as a step."""

    def __init__(self, settings: TransformSettings, function: Callable[[Any], Any]) -> None:
        self._function = function
        self._is_batch = settings.transform_batch is not None
        self._name = settings.transform_batch or settings.transform or ""
        self._vectors = settings.vectors
        self._lock = contextlib.nullcontext() if settings.concurrent else _ONE_AT_A_TIME

    def __call__(self, points: Sequence[Point]) -> list[Outcome]:
        """Return what became of each point.

        Raises:
            TransientError: As the function said, or its connection broke: the same again, later.
            HaltError, ConfigError, MemoryError: As the function said.
        """
        if not points:
            return []
        if not self._is_batch:
            return [self._outcome(point, self._call(point.image)) for point in points]
        returned = self._call(list(points))
        if isinstance(returned, list | tuple) and len(returned) == len(points):
            return [self._outcome(*pair) for pair in zip(points, returned, strict=True)]
        if len(points) > 1:  # some point makes it fail: halve until it is alone
            middle = len(points) // 2
            return self(points[:middle]) + self(points[middle:])
        if isinstance(returned, RecordError):
            return [returned]
        return [RecordError(f"{self._name} must return a list as long as the one it was given")]

    def _call(self, argument: Any) -> Any:
        try:
            with self._lock:
                return self._function(argument)
        except (TransientError, *_NOT_THE_RECORDS):
            raise
        except (ConnectionError, TimeoutError) as error:
            raise TransientError(
                f"{self._name} has lost its connection: {type(error).__name__}"
            ) from error
        except RecordError as error:
            return error
        except Exception as error:  # whatever it is, it is that point's: a dead letter
            return RecordError(f"{self._name} raised {type(error).__name__} {_where(error)}")

    def _outcome(self, point: Point, returned: Any) -> Outcome:
        if returned is None or isinstance(returned, RecordError):
            return returned
        try:
            return Point(point.key, self._image(point.image, returned))
        except RecordError as error:
            return error

    def _image(self, before: Image, after: Any) -> Image:
        """Return what the function made, its payload canonical.

        Raises:
            RecordError: It is no image, or has other vectors than the collection.
        """
        if not isinstance(after, Image) or not isinstance(after.vectors, Mapping):
            raise RecordError(f"{self._name} returned {type(after).__name__}, not an Image or None")
        for name, vector in after.vectors.items():
            wanted = self._vectors.get(name) or _words(before.vectors.get(name))
            if wanted is None:
                raise RecordError(
                    f"{self._name} made a vector {name!r}: name it in the transform's vectors"
                )
            _require_fits(f"vector {name!r} that {self._name} made", vector, wanted)
        if after.payload is before.payload:
            return after
        if not isinstance(after.payload, bytes):
            kind = type(after.payload).__name__
            raise RecordError(f"{self._name} returned a payload of type {kind}, not JSON in bytes")
        return Image(after.vectors, encode_payload(decode_payload(after.payload)))


def _words(vector: Vector | None) -> VectorWords | None:
    match vector:
        case None:
            return None
        case Sparse():
            return VectorWords(kind="sparse")
        case Multi():
            return VectorWords.model_construct(kind="multi", dtype=vector.dtype, dim=vector.dim)
    return VectorWords.model_construct(kind="dense", dtype=vector.dtype, dim=vector.dim)


def _require_fits(what: str, vector: Any, wanted: VectorWords) -> None:
    if wanted.kind == "sparse":
        if not isinstance(vector, Sparse):
            raise RecordError(f"{what} is {type(vector).__name__}, not a Sparse")
        if len(vector.indices) != len(vector.values) or len(vector.indices) % 4:
            raise RecordError(
                f"{what} has {len(vector.indices)} bytes of indices, {len(vector.values)} of values"
            )
        return
    if not isinstance(vector, Multi if wanted.kind == "multi" else Dense):
        raise RecordError(f"{what} is {type(vector).__name__}, not a {wanted.kind} one")
    if (vector.dtype, vector.dim) != (wanted.dtype, wanted.dim):
        raise RecordError(
            f"{what} is {vector.dtype}[{vector.dim}], not {wanted.dtype}[{wanted.dim}]"
        )
    rows = vector.rows if isinstance(vector, Multi) else 1
    size = rows * ((vector.dim * BITS[vector.dtype] + 7) // 8)
    if not isinstance(vector.data, bytes) or len(vector.data) != size:
        raise RecordError(f"{what} must have {size} bytes of data")


def _where(error: Exception) -> str:
    # the message and the lines may hold values of the point: only places are told
    frames = traceback.extract_tb(error.__traceback__)[1:][-_FRAMES:]
    places = [f"{os.path.basename(each.filename)}:{each.lineno} in {each.name}" for each in frames]
    return f"at {' > '.join(places)}" if places else "when it was called"
