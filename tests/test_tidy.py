"""The style of the tree, held by checks that each have an example that must fail."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parent.parent

MODULE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
FUNCTION_LINES_GOAL = 40
PARAMETERS_MAX = 5
FILE_BYTES_MAX = 1_000_000
SAYS_NOTHING = {"manager", "handler", "helper", "util", "common", "process", "data", "info"}
SHORTHAND = {"src", "dst", "dest"}
MAY_PRINT = ("vecferry/cli/", "vecferry/testing/", "benchmarks/", "tools/", "tests/")

# written so that no pattern matches itself
OTHER_PEOPLES_WORDS = {
    "a package registry's host": re.compile(
        r"pypi\.org|pythonhosted\.org|npmjs\.(org|com)|repo1?\.maven\.|crates\.io"
        r"|proxy\.golang\.org|(deb|security)\.debian\.org"
    ),
    "a path of one machine": re.compile(r"(?<![\w.])/(wor[k]|roo[t]|hom[e]/\w|opt/whee[l]s)\b"),
    "how the work was organised": re.compile(
        r"\bissues? ?#?\d|\bissues (show|file)\b|\b(this|next|earlier|previous|developer'?s?) "
        r"sessio[n]\b|\bsessio[n]s? of the project\b|\bC[E]O\b|house-styl[e]|share[d]/\w+\.md"
    ),
    "a coding assistant": re.compile(r"\b(claud[e]|anthropi[c]|chatgp[t]|copilo[t])\b", re.I),
    "unfinished work": re.compile(r"\b(TOD[O]|FIXM[E]|XX[X]|HAC[K])\b"),
}


class Source(NamedTuple):
    """A Python file: its path from the root, its text, its tree."""

    path: str
    text: str
    tree: ast.Module


def source(path: str, text: str) -> Source:
    return Source(path, text, ast.parse(text))


def tracked() -> list[str]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached"], cwd=ROOT, capture_output=True, check=False
    )
    if listed.returncode == 0:
        names = [name.decode() for name in listed.stdout.split(b"\0") if name]
    else:  # an unpacked archive
        names = [str(path.relative_to(ROOT)) for path in ROOT.rglob("*") if path.is_file()]
    return sorted(name for name in names if (ROOT / name).is_file() and ".git/" not in name)


@cache
def sources() -> tuple[Source, ...]:
    return tuple(
        source(name, (ROOT / name).read_text())
        for name in tracked()
        if name.endswith(".py") and not (ROOT / name).is_symlink()
    )


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def length(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    return (function.end_lineno or function.lineno) - function.lineno + 1


# Each check takes a file and returns what is wrong with it, with the line.


def too_long_a_module(file: Source) -> list[str]:
    lines = file.text.count("\n")
    if lines <= MODULE_LINES_MAX:
        return []
    return [f"{file.path}: {lines} lines, at most {MODULE_LINES_MAX}: which noun wants out?"]


def too_long_a_function(file: Source) -> list[str]:
    return [
        f"{file.path}:{function.lineno}: {function.name} has {length(function)} lines, "
        f"at most {FUNCTION_LINES_MAX}"
        for function in functions(file.tree)
        if length(function) > FUNCTION_LINES_MAX
    ]


def too_many_parameters(file: Source) -> list[str]:
    if file.path.startswith("tests/"):
        return []  # fixtures are parameters there
    complaints = []
    for function in functions(file.tree):
        if any(".command(" in ast.unparse(mark) for mark in function.decorator_list):
            continue  # a command's parameters are the options of its line
        given = function.args
        named = [one.arg for one in (*given.posonlyargs, *given.args, *given.kwonlyargs)]
        count = len([name for name in named if name not in ("self", "cls")])
        if count > PARAMETERS_MAX:
            complaints.append(
                f"{file.path}:{function.lineno}: {function.name} takes {count} parameters, "
                f"at most {PARAMETERS_MAX}"
            )
    return complaints


def a_name_that_says_nothing(file: Source) -> list[str]:
    complaints = []
    for part in Path(file.path).with_suffix("").parts:
        words = {word.removesuffix("s") for word in part.removeprefix("test_").split("_")}
        # "process" loses its own s as well
        if words & {word.removesuffix("s") for word in SAYS_NOTHING}:
            complaints.append(f"{file.path}: {part!r} says nothing")
    return complaints


def shorthand_for_a_side(file: Source) -> list[str]:
    complaints = []
    for node in ast.walk(file.tree):
        name = getattr(node, "id", None) or getattr(node, "arg", None)
        if isinstance(name, str) and set(name.split("_")) & SHORTHAND:
            line = getattr(node, "lineno", 0)
            complaints.append(f"{file.path}:{line}: {name}: it is source and target here")
    return complaints


def a_module_that_does_not_say_what_it_is(file: Source) -> list[str]:
    if file.path.startswith("tests/"):
        return []  # the path and the tests' names say it
    if not file.text.strip() or ast.get_docstring(file.tree):
        return []
    return [f"{file.path}: no docstring says what the module is for"]


def printing(file: Source) -> list[str]:
    if file.path.startswith(MAY_PRINT):
        return []
    return [
        f"{file.path}:{node.lineno}: print() in the library"
        for node in ast.walk(file.tree)
        if isinstance(node, ast.Call)
        and isinstance(node.func, ast.Name)
        and node.func.id == "print"
    ]


def swallowing(file: Source) -> list[str]:
    """A broad except raises again, keeps the error for its owner, or says why not on its line or the next."""
    if file.path.startswith("tests/"):
        return []  # a test looks at what it caught
    lines = file.text.splitlines()
    complaints = []
    for node in ast.walk(file.tree):
        if isinstance(node, ast.ExceptHandler):
            if node.type is None:
                complaints.append(f"{file.path}:{node.lineno}: a bare except")
            elif _broad(node.type) and not _raises(node) and not _reason(lines, node.lineno):
                complaints.append(f"{file.path}:{node.lineno}: swallows every error unexplained")
        elif (
            isinstance(node, ast.Call)
            and getattr(node.func, "attr", "") == "suppress"
            and any(_broad(one) for one in node.args)
            and not _reason(lines, node.lineno)
        ):
            complaints.append(f"{file.path}:{node.lineno}: suppresses every error unexplained")
    return complaints


def _broad(caught: ast.expr) -> bool:
    names = caught.elts if isinstance(caught, ast.Tuple) else [caught]
    return any(getattr(name, "id", "") in ("Exception", "BaseException") for name in names)


def _raises(handler: ast.ExceptHandler) -> bool:
    """Whether it raises, or keeps the error itself, as a thread does for who waits for it."""
    return any(
        isinstance(node, ast.Raise)
        or (isinstance(node, ast.Assign) and getattr(node.value, "id", None) == handler.name)
        for node in ast.walk(handler)
        if handler.name or isinstance(node, ast.Raise)
    )


def _reason(lines: list[str], number: int) -> bool:
    for line in lines[number - 1 : number + 1]:
        _, sign, comment = line.partition("#")
        reason = re.sub(r"noqa(: ?[A-Z]+\d+)?", "", comment)
        if sign and len(reason.split()) >= 3:
            return True
    return False


CHECKS: dict[Callable[[Source], list[str]], list[tuple[str, str]]] = {
    too_long_a_module: [("vecferry/log/topics.py", "x = 1\n" * 401)],
    too_long_a_function: [("vecferry/fold.py", "def f():\n" + "    x = 1\n" * 70)],
    too_many_parameters: [
        ("vecferry/fold.py", "def f(a, b, c, d, e, f): ..."),
        ("vecferry/fold.py", "class A:\n    def f(self, a, b, c, *, d, e, f): ..."),
    ],
    a_name_that_says_nothing: [
        ("vecferry/log/utils.py", ""),
        ("vecferry/log/record_handler.py", ""),
        ("vecferry/process/fold.py", ""),
        ("tests/unit/test_helpers.py", ""),
        ("vecferry/data.py", ""),
    ],
    shorthand_for_a_side: [
        ("vecferry/fold.py", "src = 1"),
        ("vecferry/fold.py", "def f(dst_store): ..."),
    ],
    a_module_that_does_not_say_what_it_is: [("vecferry/fold.py", "x = 1\n")],
    printing: [("vecferry/log/topics.py", "def f():\n    print('x')")],
    swallowing: [
        ("vecferry/fold.py", "try:\n    x()\nexcept:\n    raise\n"),
        ("vecferry/fold.py", "try:\n    x()\nexcept Exception:\n    pass\n"),
        ("vecferry/fold.py", "try:\n    x()\nexcept Exception:  # noqa: BLE001\n    pass\n"),
        ("vecferry/fold.py", "try:\n    x()\nexcept (OSError, BaseException) as e:\n    f(e)\n"),
        ("vecferry/fold.py", "try:\n    x()\nexcept Exception:\n    y = 1\n"),
        ("vecferry/fold.py", "with contextlib.suppress(Exception):\n    x()\n"),
    ],
}


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: check.__name__)
def test_the_tree_is_without(check: Callable[[Source], list[str]]) -> None:
    complaints = [complaint for file in sources() for complaint in check(file)]
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [(check, *example) for check, examples in CHECKS.items() for example in examples],
)
def test_the_check_sees_its_example(
    check: Callable[[Source], list[str]], path: str, text: str
) -> None:
    assert check(source(path, text))


@pytest.mark.parametrize(
    ("check", "path", "text"),
    [
        (too_long_a_module, "vecferry/fold.py", "x = 1\n" * 400),
        (too_long_a_function, "vecferry/fold.py", "def f():\n" + "    x = 1\n" * 69),
        (too_many_parameters, "vecferry/fold.py", "class A:\n    def f(self, a, b, c, d, e): ..."),
        (too_many_parameters, "vecferry/cli/x.py", "@app.command()\ndef f(a, b, c, d, e, g): ..."),
        (a_name_that_says_nothing, "vecferry/log/database.py", ""),
        (printing, "vecferry/cli/status.py", "print('x')"),
        (swallowing, "vecferry/fold.py", "try:\n    x()\nexcept Exception:\n    f()\n    raise\n"),
        (
            swallowing,
            "vecferry/fold.py",
            "try:\n    x()\nexcept Exception:  # the thread's owner raises it\n    f()\n",
        ),
        (swallowing, "vecferry/fold.py", "try:\n    x()\nexcept Exception as e:\n    f.e = e\n"),
    ],
)
def test_the_check_lets_the_good_pass(
    check: Callable[[Source], list[str]], path: str, text: str
) -> None:
    assert not check(source(path, text))


def test_most_functions_fit_on_a_screen(record_property: Callable[[str, object], None]) -> None:
    lengths = [length(one) for file in sources() for one in functions(file.tree)]
    share = sum(lines <= FUNCTION_LINES_GOAL for lines in lengths) / len(lengths)
    record_property("functions_within_goal", round(share, 4))
    assert share >= 0.95, f"only {share:.1%} of functions have at most {FUNCTION_LINES_GOAL} lines"


def words_of_others(path: str, text: str) -> list[str]:
    return [
        f"{path}:{number}: {what}: {found.group()!r}"
        for number, line in enumerate(text.splitlines(), 1)
        for what, pattern in OTHER_PEOPLES_WORDS.items()
        if (found := pattern.search(line))
    ]


def test_every_file_speaks_of_the_project_alone() -> None:
    complaints: list[str] = []
    for name in tracked():
        raw = (ROOT / name).read_bytes()
        if b"\0" not in raw:
            complaints += words_of_others(name, raw.decode())
    assert not complaints, "\n".join(complaints)


@pytest.mark.parametrize(
    "line",
    [
        "index-url = https://py" + "pi.org/simple",
        "see /roo" + "t/.cache/vecferry",
        "path = '/wor" + "k/main'",
        "as asked in issue" + " #3",
        "done in an earlier " + "session",
        "# TO" + "DO: later",
        "written by Clau" + "de",
    ],
)
def test_a_word_of_others_is_seen(line: str) -> None:
    assert words_of_others("README.md", line)


@pytest.mark.parametrize(
    "line",
    [
        "session_timeout_s = 45",
        "the session times out, and its partitions go to another",
        "volumes: vecferry:/var/lib/vecferry/work/now",
        "an issue of a certificate",
    ],
)
def test_a_word_of_our_own_is_not(line: str) -> None:
    assert not words_of_others("README.md", line)


def test_public_names_have_docstrings_because_ruff_looks() -> None:
    lint = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["ruff"]["lint"]
    assert "D" in lint["select"]
    assert not {"D", "D1", "D101", "D102", "D103"} & set(lint["ignore"])
    for pattern, codes in lint["per-file-ignores"].items():
        assert "D" not in codes or pattern == "tests/**"


def test_the_licence_and_the_mark_of_types_are_there() -> None:
    assert "Apache License" in (ROOT / "LICENSE").read_text()
    assert (ROOT / "vecferry" / "py.typed").is_file()


@pytest.mark.parametrize("name", ["schemas", "producers", "consumers"])
def test_a_door_for_readers_is_a_link(name: str) -> None:
    assert (ROOT / name).is_symlink()
    assert (ROOT / name).resolve() == ROOT / "vecferry" / name


def test_tests_are_no_packages_and_no_file_is_large() -> None:
    for name in tracked():
        assert not (name.startswith("tests/") and name.endswith("__init__.py")), name
        assert (ROOT / name).stat().st_size <= FILE_BYTES_MAX, name
