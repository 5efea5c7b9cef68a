"""Options that commands share, accepted before and after a command's name, and how an option shows its setting."""

import functools
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from fs4cli.cli.help_page import ADVANCED, COMMON, HARDWARE, OUTPUT, show_help
from fs4cli.cli.report import Color
from fs4cli.settings_file.keys import default_text, setting_fields

ProgressChoice = Literal["auto", "bar", "lines", "none"]
PROGRESS_VARIABLE = "FS4_PROGRESS"


@dataclass(frozen=True)
class SharedOptions:
    """What was given for the options that all commands share.

    Args:
        project: The project's folder.
        set: Settings as `key=value`, in the order given.
        json: One JSON object on stdout.
        quiet: Errors only.
        verbose: More than usual.
        progress: How progress is shown; None if not given.
        seed: Of all randomness; None if not given.
        device: Where the network runs; None if not given.
        color: Colour on stderr; None if not given.
    """

    project: Path | None = None
    set: tuple[str, ...] = ()
    json: bool = False
    quiet: bool = False
    verbose: bool = False
    progress: ProgressChoice | None = None
    seed: int | None = None
    device: str | None = None
    color: Color | None = None

    def over(self, before: "SharedOptions") -> "SharedOptions":
        """These options, given after a command's name, over those given before it."""
        return SharedOptions(
            project=self.project or before.project,
            set=before.set + self.set,
            json=self.json or before.json,
            quiet=self.quiet or before.quiet,
            verbose=self.verbose or before.verbose,
            progress=self.progress or before.progress,
            seed=before.seed if self.seed is None else self.seed,
            device=self.device or before.device,
            color=self.color or before.color,
        )


def option(*names: str, help: str, panel: str, default: str = "", metavar: str | None = None, **more: Any) -> Any:
    """An option with its default, as text, at the end of its help line."""
    text = f"{help} [default: {default}]" if default else help
    return typer.Option(*names, help=text, show_default=False, rich_help_panel=panel, metavar=metavar, **more)


def setting_option(key: str, *names: str, panel: str = COMMON, metavar: str | None = None) -> Any:
    """An option that stands for a setting: its help line and default are the setting's own."""
    text = f"{setting_fields()[key].description} [default: {default_text(key)}; setting: {key}]"
    return typer.Option(*names, help=text, show_default=False, rich_help_panel=panel, metavar=metavar)


def help_parameter() -> inspect.Parameter:
    """`-h` and `--help`, drawn by `help_page`."""
    asked = typer.Option(
        "--help",
        "-h",
        help="Show this page.",
        is_eager=True,
        callback=show_help,
        show_default=False,
        rich_help_panel=ADVANCED,
    )
    return inspect.Parameter(
        "shared_help", inspect.Parameter.KEYWORD_ONLY, default=False, annotation=Annotated[bool, asked]
    )


def shared_parameters() -> list[inspect.Parameter]:
    """The shared options as parameters of a function that Typer can read; `--help` last."""
    kinds: dict[str, tuple[Any, Any]] = {
        "device": (str | None, setting_option("device", "--device", panel=HARDWARE, metavar="NAME")),
        "json": (bool, option("--json", help="One JSON object on stdout, also on failure.", panel=OUTPUT)),
        "quiet": (bool, option("--quiet", "-q", help="Errors only.", panel=OUTPUT)),
        "verbose": (bool, option("--verbose", "-v", help="Say more.", panel=OUTPUT)),
        "progress": (
            ProgressChoice | None,
            option(
                "--progress",
                help="A bar on a terminal, else a line every 30 s; FS4_PROGRESS does the same.",
                default="auto",
                panel=OUTPUT,
                metavar="auto|bar|lines|none",
            ),
        ),
        "color": (
            Color | None,
            option("--color", help="Colour in messages.", default="auto", panel=OUTPUT, metavar="auto|always|never"),
        ),
        "project": (
            Path | None,
            option(
                "--project",
                "-C",
                help="The project's folder; FS4_PROJECT does the same.",
                default="found from here",
                panel=ADVANCED,
                metavar="DIR",
            ),
        ),
        "set": (
            list[str] | None,
            option("--set", help="Change any setting; repeatable.", panel=ADVANCED, metavar="KEY=VALUE"),
        ),
        "seed": (int | None, setting_option("seed", "--seed", panel=ADVANCED, metavar="N")),
    }
    shared = [
        inspect.Parameter(
            f"shared_{name}",
            inspect.Parameter.KEYWORD_ONLY,
            default=False if kind is bool else None,
            annotation=Annotated[kind, found],
        )
        for name, (kind, found) in kinds.items()
    ]
    return [*shared, help_parameter()]


def take_shared(values: dict[str, Any]) -> SharedOptions:
    """Take the shared options out of a command's values."""
    taken = {name.removeprefix("shared_"): values.pop(name) for name in list(values) if name.startswith("shared_")}
    taken.pop("help", None)  # its callback has done the work
    return SharedOptions(**{**taken, "set": tuple(taken.get("set") or ())})


def add_shared_options(
    function: Callable[..., Any], run: Callable[[SharedOptions, Mapping[str, Any]], None]
) -> Callable[..., None]:
    """A function for Typer with `function`'s own options and the shared ones.

    Args:
        function: A command; its first parameter, the session, is not an option.
        run: Is called with the shared options, merged, and the command's own values.
    """
    own = list(inspect.signature(function).parameters.values())[1:]
    context = inspect.Parameter("context", inspect.Parameter.POSITIONAL_OR_KEYWORD, annotation=typer.Context)
    own = [parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY) for parameter in own]
    parameters = [context, *own, *shared_parameters()]

    @functools.wraps(function)
    def command(**values: Any) -> None:
        before = values.pop("context").find_root().obj
        after = take_shared(values)
        run(after.over(before) if isinstance(before, SharedOptions) else after, values)

    command.__signature__ = inspect.Signature(parameters)  # pyright: ignore[reportAttributeAccessIssue]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters}
    del command.__wrapped__  # pyright: ignore[reportAttributeAccessIssue]
    return command
