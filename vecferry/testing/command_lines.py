"""Command lines that stand in files and pages, held against the program itself."""

from typing import Any


def program() -> Any:
    """Return the root command, as the parser sees it."""
    import typer.main

    from vecferry.cli.main import app

    return typer.main.get_command(app)


def wrong_words(root: Any, words: list[str]) -> list[str]:
    """Parse the words after ``vecferry`` as the program would; return what it does not know.

    Nothing is run, and files that are named need not be there.
    """
    if not words or words[0] not in getattr(root, "commands", {}):
        return [f"there is no command {' '.join(words[:1])!r}"]
    name, *rest = words
    command = root.commands[name]
    if getattr(command, "commands", None):
        return wrong_words(command, rest)
    try:
        command.make_context(name, list(rest))
    except Exception as error:  # whatever the parser raises is the finding
        return [f"{name}: {error}"]
    return []
