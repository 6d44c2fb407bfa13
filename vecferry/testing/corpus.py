"""A real corpus without a download: Python's own documentation, really embedded.

The texts are the docstrings of the standard library and the chapters of
``pydoc_data.topics``; the 256-d embeddings come from the model inside the
``wordllama`` package. Both are the same in every run on the same Python.
"""

import importlib
import inspect
import pkgutil
import sys
import warnings
from collections.abc import Iterator, Sequence
from contextlib import redirect_stderr, redirect_stdout
from functools import lru_cache
from io import StringIO
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from vecferry.model import Collection, Dense, Image, Key, Metric, Point, VectorSpec
from vecferry.payload import encode_payload

DIM = 256

_UNSAFE = {"antigravity", "this", "idlelib", "turtledemo", "test", "lib2to3", "__phello__", "site"}
"""Modules that open windows or browsers, print, or take long when they are imported."""


class Text(NamedTuple):
    """One passage: where it stands, and its words."""

    where: str
    words: str


@lru_cache(1)
def texts() -> tuple[Text, ...]:
    """Return every passage, each text once, in an order that is always the same."""
    found: dict[str, str] = {}
    for where, words in _passages():
        found.setdefault(words, where)
    return tuple(sorted(Text(where, words) for words, where in found.items()))


def embed(words: Sequence[str]) -> npt.NDArray[np.float32]:
    """Return the embeddings, float32, shape ``(n, 256)``, at unit length."""
    return np.ascontiguousarray(_model().embed(list(words), norm=True), dtype=np.float32)


def documents(collection: str, count: int) -> list[Point]:
    """Return ``count`` points with integer ids from 0: a passage, its embedding, its payload.

    Raises:
        ValueError: There are not so many passages.
    """
    passages = texts()
    if count > len(passages):
        raise ValueError(f"{count} points were asked for, there are {len(passages)} passages")
    step = len(passages) / count
    chosen = [passages[int(at * step)] for at in range(count)]
    vectors = embed([text.words for text in chosen])
    return [
        Point(
            Key(collection, "", at),
            Image({"": Dense("float32", DIM, vector.tobytes())}, encode_payload(_payload(text))),
        )
        for at, (text, vector) in enumerate(zip(chosen, vectors, strict=True))
    ]


def schema(collection: str, metric: Metric = "cosine") -> Collection:
    """Return the schema that :func:`documents` fits."""
    return Collection(collection, (VectorSpec("", dim=DIM, metric=metric),))


def _payload(text: Text) -> dict[str, Any]:
    module, _, name = text.where.partition(":")
    return {
        "module": module,
        "name": name or None,
        "text": text.words,
        "words": len(text.words.split()),
        "lines": text.words.count("\n") + 1,
    }


@lru_cache(1)
def _model() -> Any:
    import wordllama

    # the wheel brings the tokenizer in a folder where only the cache is looked for
    inside = Path(wordllama.__file__).parent
    return wordllama.WordLlama.load(cache_dir=inside, disable_download=True)


def _passages() -> Iterator[Text]:
    from pydoc_data.topics import topics

    for topic, words in topics.items():
        for at, part in enumerate(words.split("\n\n")):
            if len(part.split()) >= 8:
                yield Text(f"topics:{topic}.{at}", part.strip())
    for module in _modules():
        yield from _docstrings(module)


def _modules() -> Iterator[ModuleType]:
    names = {
        module.name for module in pkgutil.iter_modules() if module.name in sys.stdlib_module_names
    }
    for name in sorted((names | set(sys.builtin_module_names)) - _UNSAFE):
        with warnings.catch_warnings(), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
            warnings.simplefilter("ignore")
            try:
                yield importlib.import_module(name)
            except ImportError:  # a module of another platform
                continue


def _docstrings(module: ModuleType) -> Iterator[Text]:
    for name, value in sorted(vars(module).items()):
        if name.startswith("_") or getattr(value, "__module__", None) != module.__name__:
            continue
        yield from _document(f"{module.__name__}:{name}", value)
        if inspect.isclass(value):
            for inner, member in sorted(vars(value).items()):
                if not inner.startswith("_"):
                    yield from _document(f"{module.__name__}:{name}.{inner}", member)


def _document(where: str, value: object) -> Iterator[Text]:
    words = getattr(value, "__doc__", None)
    if isinstance(words, str) and len(words.split()) >= 3:
        yield Text(where, inspect.cleandoc(words))
