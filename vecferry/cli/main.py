"""The command line. Exit codes: 0 yes or done, 1 error, 2 usage or configuration, 3 no, 4 could not tell."""

import contextlib
import logging
import sys
import time
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from typer.exceptions import TyperException

from vecferry.cli import checking, letters, plan_text, planning, preparing, status
from vecferry.cli.migration import Migration
from vecferry.cli.output import err, log_to_stderr, out, print_json
from vecferry.errors import ConfigError, CutoverError, TransientError, VecferryError
from vecferry.log import pauses, writers
from vecferry.producers import passes

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Moves live vector collections between databases.",
)
dlq = typer.Typer(no_args_is_help=True, help="Dead letters: what could not be captured or applied.")
app.add_typer(dlq, name="dlq")

_MEASURED_PAGES = 10
NO = 3
DEFECT = 70
TRY_AGAIN = 4
"""It could not be told: the other side did not answer. `up` starts such a role again."""


File = Annotated[Path, typer.Option("-c", "--config", help="The migration's file.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]
WriterName = Annotated[
    str, typer.Option(help="The application behind it, as capture.expected_writers names it.")
]
_FILE = Path("vecferry.toml")


class Role(StrEnum):
    """What one process of ``up`` does."""

    SNAPSHOT = "snapshot"
    CAPTURE = "capture"
    FEED = "feed"
    APPLY = "apply"
    CHECK = "check"


class LogFormat(StrEnum):
    """How log records are written."""

    TEXT = "text"
    JSON = "json"


_chosen = {"log_format": "text"}


@app.callback()
def _options(
    log_format: Annotated[
        LogFormat, typer.Option(help="How log records are written to standard error.")
    ] = LogFormat.TEXT,
    log_level: Annotated[str, typer.Option(help="debug, info, warning or error.")] = "warning",
) -> None:
    _chosen["log_format"] = log_format.value
    log_to_stderr(log_format.value, log_level)


@app.command()
def plan(
    config: File = _FILE,
    json: Json = False,
    kept: Annotated[
        Path | None, typer.Option("--out", help="Keep what was decided in this file.")
    ] = None,
    measure: Annotated[
        bool, typer.Option("--measure", help="Read more of the source, for its rate.")
    ] = False,
    acls: Annotated[
        bool, typer.Option("--acls", help="Print the least that each role needs, and no more.")
    ] = False,
) -> None:
    """Inspect both sides and tell what will become of each field; write nothing to them."""
    migration = Migration(config)
    if acls:
        needed = planning.access_document(migration)
        print_json(needed) if json else plan_text.show_access(needed)
        return
    with migration.stores(sample=True, pages=_MEASURED_PAGES if measure else 1) as both:
        document = planning.plan_document(migration, both, measured=measure)
        if kept is not None:
            planning.keep_decided(migration, both, kept)
    print_json(document) if json else plan_text.show_plan(document)
    if any(each["refusals"] for each in document["collections"]):
        raise typer.Exit(NO)


@app.command()
def init(config: File = _FILE, json: Json = False) -> None:
    """Make the topics, the first commits and the target's collections."""
    migration = Migration(config)
    premises = preparing.prepare(migration)
    if json:
        print_json(
            {
                "name": migration.settings.name,
                "premises": [premise._asdict() for premise in premises],
            }
        )
    else:
        plan_text.show_premises(premises)
        out.print(f"{escape(migration.settings.name)} is prepared: `vecferry up` starts it")


@app.command()
def up(
    config: File = _FILE,
    role: Annotated[
        Role | None, typer.Option(help="Run one role in this process, as many times as you like.")
    ] = None,
    once: Annotated[
        bool,
        typer.Option("--once", help="Capture nothing, and end when all that was read is applied."),
    ] = False,
    json: Json = False,
) -> None:
    """Prepare and run every role under a supervisor until it is stopped; Ctrl-C drains."""
    from vecferry.cli import roles, upping

    migration = Migration(config)
    if role is not None:
        roles.run_role(migration, role.value, once=once)
        return
    now = upping.run_all(migration, upping.Run(_chosen["log_format"], quiet=json, once=once))
    document = status.status_document(migration, now)
    print_json(document) if json else status.show_status(document)
    if once and not now.is_applied:
        raise typer.Exit(NO)


@app.command(name="status")
def status_command(
    config: File = _FILE,
    json: Json = False,
    watch: Annotated[
        bool, typer.Option("--watch", help="Print it again every two seconds.")
    ] = False,
) -> None:
    """Tell the phase, the progress, who works and how far behind the target is."""
    migration = Migration(config)
    with migration.control() as control:
        while True:
            document = status.status_document(migration, status.status_of(migration, control))
            print_json(document) if json else status.show_status(document)
            if not watch:
                return
            time.sleep(2.0)
            control.read_to_end()


@app.command()
def wait(
    config: File = _FILE,
    for_: Annotated[
        str,
        typer.Option("--for", help="applied: everything that the snapshot read is in the target."),
    ] = "applied",
    timeout_s: Annotated[
        float, typer.Option(help="Give up after so many seconds; 0 waits for ever.")
    ] = 0.0,
) -> None:
    """Return when it is so; exit with 3 when the time is over."""
    if for_ != "applied":
        raise ConfigError(f"--for {for_} is not known: it may be applied")
    migration = Migration(config)
    deadline = time.monotonic() + timeout_s if timeout_s else None
    with migration.control() as control:
        while not (now := status.status_of(migration, control)).is_applied:
            if deadline is not None and time.monotonic() >= deadline:
                status.show_status(status.status_document(migration, now))
                raise typer.Exit(NO)
            control.wait_change(1.0)


@app.command()
def pause(config: File = _FILE) -> None:
    """Stop reading and applying, without ending any process."""
    _set_paused(config, paused=True)


@app.command()
def resume(config: File = _FILE) -> None:
    """Go on after ``pause``."""
    _set_paused(config, paused=False)


def _set_paused(config: Path, *, paused: bool) -> None:
    migration = Migration(config)
    with migration.control() as control:
        if migration.settings.name not in control.latest("migration"):
            raise ConfigError(
                f"{migration.settings.name!r} was never prepared: `vecferry init` does that"
            )
        pauses.pause(control, paused=paused)
    out.print(f"{escape(migration.settings.name)} {'is paused' if paused else 'goes on'}")


@app.command()
def rescan(
    collection: Annotated[str, typer.Argument(help="The source's name of a collection.")],
    reason: Annotated[str, typer.Option(help="Why, for the record.")],
    config: File = _FILE,
) -> None:
    """Read a collection again while everything goes on, and look for what is too much."""
    migration = Migration(config)
    with migration.control() as control:
        names = [each.source.name for each in preparing.prepared(migration, control)]
        if collection not in names:
            raise ConfigError(f"{collection!r} does not move: {', '.join(names)} do")
        passes.ask(control, f"operator/{collection}", collection, reason)
    out.print(f"{escape(collection)} will be read again: `vecferry status` tells when it was")


@app.command()
def vouch(
    reason: Annotated[str, typer.Option(help="Why, for the record; an empty one takes it back.")],
    writer: Annotated[
        str | None, typer.Argument(help="One of capture.expected_writers; without it, all.")
    ] = None,
    config: File = _FILE,
) -> None:
    """Give your word that no writer goes past the capture, where the registrations do not show it."""
    migration = Migration(config)
    expected = migration.settings.capture.expected_writers
    if writer is not None and writer not in expected:
        raise ConfigError(
            f"{writer!r} is not among capture.expected_writers: {', '.join(expected) or 'there are none'}"
        )
    with migration.control() as control:
        writers.vouch(control, writer, reason)
    what = "every writer" if writer is None else writer
    out.print(
        f"{escape(what)}: {'your word is on record' if reason else 'your word is taken back'}"
    )


@app.command()
def check(config: File = _FILE, json: Json = False) -> None:
    """Compare both sides, point by point; exit with 3 when they differ."""
    reports = checking.check_all(Migration(config), quiet=json)
    if json:
        print_json([checking.report_document(report) for report in reports])
    else:
        for report in reports:
            checking.show_report(report)
    if not all(report.is_equal for report in reports):
        raise typer.Exit(NO)


@dlq.command(name="list")
def dlq_list(config: File = _FILE, json: Json = False) -> None:
    """List the dead letters, one line each."""
    migration = Migration(config)
    found = list(letters.letters(migration))
    if json:
        print_json([letters.letter_document(letter) for letter in found])
        return
    for letter in found:
        letters.show_letter(letter, migration.codec)
    if not found:
        out.print("no dead letters")


@dlq.command(name="explain")
def dlq_explain(
    place: Annotated[
        str, typer.Argument(help="A letter's place, as `dlq list` prints it: PARTITION:OFFSET.")
    ],
    config: File = _FILE,
    json: Json = False,
) -> None:
    """Tell what one dead letter was and why it was given up."""
    migration = Migration(config)
    for letter in letters.letters(migration):
        if letter.place == place:
            if json:
                print_json(letters.letter_document(letter))
            else:
                letters.show_letter(letter, migration.codec, whole=True)
            return
    raise ConfigError(f"there is no dead letter at {place!r}: `vecferry dlq list` shows them")


@app.command()
def proxy(
    config: File = _FILE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="For REST; 0 takes a free one.")] = 6333,
    grpc_port: Annotated[int, typer.Option(help="For gRPC; 0 takes a free one.")] = 6334,
    cert_file: Annotated[Path | None, typer.Option(help="PEM, to listen with TLS.")] = None,
    key_file: Annotated[Path | None, typer.Option(help="The certificate's key, PEM.")] = None,
    on_log_down: Annotated[
        str, typer.Option(help="refuse, or rescan: writes go through and are read again later.")
    ] = "refuse",
    name: WriterName = "proxy",
) -> None:
    """Stand in front of the source's Qdrant: clients stay as they are, writes are captured."""
    from vecferry.cli.proxying import proxy_options, run_proxy

    migration = Migration(config)
    options = proxy_options(
        migration, host=host, ports=(port, grpc_port), tls=(cert_file, key_file)
    )
    run_proxy(migration, options, on_log_down, name)


@app.command()
def sidecar(
    config: File = _FILE,
    host: Annotated[str, typer.Option(help="The address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="The port to listen on.")] = 8723,
    token_file: Annotated[
        Path | None, typer.Option(help="Holds the bearer token that requests must carry.")
    ] = None,
    name: WriterName = "sidecar",
) -> None:
    """Serve the feed over HTTP, for applications in any language."""
    from vecferry.cli.sidecar import serve_sidecar

    serve_sidecar(Migration(config), host=host, port=port, token_file=token_file, name=name)


@app.command()
def demo(
    points: Annotated[int, typer.Option(min=100, help="How many texts to move.")] = 6_000,
) -> None:
    """Move a real collection on this machine, on embedded parts, and lose nothing."""
    from vecferry.cli.demo import run_demo

    if not run_demo(points):
        raise typer.Exit(NO)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line; every error of Vecferry's own becomes a line and an exit code."""
    code: Any = 0
    try:
        code = app(args=arguments, standalone_mode=False)
    except ConfigError as error:
        code = _tell(error, 2)
    except CutoverError as error:
        code = _tell(error, NO)
        for reason in error.reasons:
            err.print(f"  - {escape(reason)}")
    except TransientError as error:
        code = _tell(error, TRY_AGAIN)
    except VecferryError as error:
        code = _tell(error, 1)
    except (typer.Abort, KeyboardInterrupt):
        code = 130
    except TyperException as error:  # a wrong option, told by the parser
        code = _usage(error)
    except Exception:  # nobody above can do more than tell it and end
        logging.getLogger("vecferry").exception(
            "a defect of Vecferry: please report it with these lines"
        )
        code = DEFECT
    with contextlib.suppress(BrokenPipeError):
        sys.stdout.flush()
    sys.exit(code if isinstance(code, int) else 0)


def _tell(error: Exception, code: int) -> int:
    err.print(f"[red]error:[/] {escape(str(error))}")
    return code


def _usage(error: Any) -> int:
    error.show()
    return int(error.exit_code)


if __name__ == "__main__":
    main()
