"""The command line `fs4`: its commands, and how every error becomes a message and an exit code.

No module here imports torch before a stage runs: help, status and mistakes answer at once.
"""

import inspect
import io
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NoReturn

import typer

from fs4cli.cli.cluster import cluster
from fs4cli.cli.config_show import show
from fs4cli.cli.crash import explain
from fs4cli.cli.demo import demo
from fs4cli.cli.evaluate import evaluate
from fs4cli.cli.help_page import COMMON, help_text
from fs4cli.cli.ingest import ingest
from fs4cli.cli.init import init
from fs4cli.cli.options import SharedOptions, add_shared_options, help_parameter, option, shared_parameters, take_shared
from fs4cli.cli.predict import predict
from fs4cli.cli.pretrain import pretrain
from fs4cli.cli.report import OutputClosed, Report, write_out
from fs4cli.cli.session import Session, close_output
from fs4cli.cli.status import status
from fs4cli.cli.train import train
from fs4cli.cli.verify import verify
from fs4cli.errors import Fs4Error, UsageError
from fs4cli.machine import share_cores

app = typer.Typer(
    name="fs4",
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
    add_help_option=False,
)
_config_app = typer.Typer(
    name="config",
    help="Show settings",
    rich_markup_mode=None,
    add_help_option=False,
)

COMMANDS: tuple[tuple[typer.Typer, str, str, Callable[..., None]], ...] = (
    (app, "init", "init", init),
    (app, "train", "train", train),
    (app, "predict", "predict", predict),
    (app, "evaluate", "evaluate", evaluate),
    (app, "eval", "evaluate", evaluate),
    (app, "status", "status", status),
    (app, "verify", "verify", verify),
    (app, "ingest", "ingest", ingest),
    (app, "pretrain", "pretrain", pretrain),
    (app, "cluster", "cluster", cluster),
    (app, "demo", "demo", demo),
    (_config_app, "show", "config.show", show),
)
"""Where each command hangs, the word that is typed, its name in `--json`, and its function."""
_HIDDEN = {"eval"}
_STAGES = {"ingest", "pretrain", "cluster"}


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run `fs4` and leave with its exit code (docs/exit-codes.md)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    _set_up_streams()
    share_cores()
    sys.exit(_run(words))


def _run(words: list[str]) -> int:
    try:
        code = app(words, prog_name="fs4", standalone_mode=False)
        sys.stdout.flush()
        return code if isinstance(code, int) else 0
    except (BrokenPipeError, OutputClosed):
        return close_output()
    except typer.Abort:
        return 130
    except KeyboardInterrupt:
        return 130
    except Exception as error:
        failure = _from_typer(error) or (error if isinstance(error, Fs4Error) else explain(error, None))
        try:
            Report(_typed_command(words), as_json="--json" in words).fail(failure)
        except OutputClosed:
            return close_output()
        return failure.exit_code


def _from_typer(error: Exception) -> UsageError | None:
    """A mistake in the command line, as Typer found it, in our own form."""
    if getattr(error, "exit_code", None) != 2 or not hasattr(error, "format_message"):
        return None
    message, *details = str(error.format_message()).strip().splitlines() or ["cannot read the command line"]  # pyright: ignore[reportAttributeAccessIssue]
    context = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "fs4"
    if not message.startswith(("No such", "Got unexpected")):
        message = message.rstrip(".")
    message = message[:1].lower() + message[1:]
    return UsageError(message.rstrip("."), details=tuple(details), hints=(f"`{path} --help` shows what it takes",))


def _typed_command(words: list[str]) -> str:
    names = {typed: name for _, typed, name, _ in COMMANDS}
    return next((names[word] for word in words if word in names), "fs4")


def _set_up_streams() -> None:
    """File names may hold bytes that are no UTF-8: show them escaped instead of failing."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")


def _register() -> None:
    for place, typed, name, function in COMMANDS:
        place.command(
            typed,
            help=_help_of(function),
            hidden=typed in _HIDDEN,
            add_help_option=False,
            rich_help_panel="Single stages" if typed in _STAGES else "Commands",
        )(add_shared_options(function, _runner(name, function)))
    app.add_typer(_config_app, rich_help_panel="Commands")
    _config_app.callback(invoke_without_command=True)(_give_options(_config, [help_parameter()]))
    version_option = option("--version", help="Show the version.", panel=COMMON)
    asked = inspect.Parameter(
        "show_version", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, version_option]
    )
    app.callback(invoke_without_command=True, help=_help_of(_root))(_give_options(_root, [asked, *shared_parameters()]))


def _runner(name: str, function: Callable[..., None]) -> Callable[[SharedOptions, Mapping[str, Any]], None]:
    def run(shared: SharedOptions, values: Mapping[str, Any]) -> None:
        session = Session(name, shared)
        code = session.run(lambda: function(session, **values))
        if code:
            raise typer.Exit(code)

    return run


def _help_of(function: Callable[..., None]) -> str:
    """A command's docstring; the first line without its full stop, blocks kept as they are."""
    first, *blocks = (function.__doc__ or "").strip().split("\n\n")
    return "\n\n".join([first.rstrip("."), *blocks])


def _versions() -> dict[str, str]:
    from importlib.metadata import PackageNotFoundError, version

    found = {"fs4": version("fs4cli"), "python": sys.version.split()[0]}
    for name in ("torch", "torchvision", "timm", "faiss-cpu", "numpy", "pillow"):
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _root(context: Any, show_version: bool = False, **values: Any) -> None:
    """Semantic segmentation of your own images, without labels.

    Examples:
      fs4 train --images ./unlabeled --classes 11
      fs4 predict img.jpg -o mask.png
      fs4 demo
    """
    shared = take_shared(values)
    context.obj = shared
    if show_version:
        report = Report("version", as_json=shared.json)
        versions = _versions()
        report.show(versions)
        if not shared.json:
            report.write(f"fs4 {versions['fs4']}\n")
        report.close()
        raise typer.Exit()
    if context.invoked_subcommand is None:
        write_out(help_text(context) + "\n")


def _config(context: Any, **values: Any) -> None:
    """Show settings."""
    if context.invoked_subcommand is None:
        write_out(help_text(context) + "\n")


def _give_options(function: Callable[..., None], options: list[inspect.Parameter]) -> Callable[..., None]:
    """A callback with these options as Typer sees it."""
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    parameters = [context, *options]
    function.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportFunctionMemberAccess]
    function.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    return function


_register()
