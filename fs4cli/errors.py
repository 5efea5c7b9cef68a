"""The errors a user may meet: each says what is wrong and names its remedy.

An `Fs4Error` is the user's to mend; `fs4cli.cli.app` alone turns it into an exit code. A caller's mistake is a
`ValueError`, and anything else that escapes is a bug.
"""


class Fs4Error(Exception):
    """Something the user can mend.

    Args:
        message: What is wrong, in one line, with the value in backticks. No full stop is added.
        details: Indented lines of facts below the message.
        hints: What to do about it, one command or change a line.
    """

    exit_code = 1
    kind = "error"

    def __init__(self, message: str, *, details: tuple[str, ...] = (), hints: tuple[str, ...] = ()):
        super().__init__(message)
        self.message = message
        self.details = details
        self.hints = hints


class UsageError(Fs4Error):
    """The command line itself is wrong."""

    exit_code = 2
    kind = "usage"


class ConfigError(Fs4Error):
    """A setting is unknown, out of bounds or contradicts another."""

    exit_code = 3
    kind = "config"


class InputError(Fs4Error):
    """The images, labels or masks handed in cannot be used."""

    exit_code = 4
    kind = "input"


class ProjectError(Fs4Error):
    """The project's state does not allow it: a stage is missing, stale, corrupt or of a newer format."""

    exit_code = 5
    kind = "project"


class ResourceError(Fs4Error):
    """The machine gives out: disk full, read-only, out of memory, no such device."""

    exit_code = 6
    kind = "resources"


class LockedError(Fs4Error):
    """Another run writes in this project."""

    exit_code = 7
    kind = "locked"


class PartialError(Fs4Error):
    """Finished, but some inputs failed."""

    exit_code = 8
    kind = "partial"


class CheckError(Fs4Error):
    """A check that was asked for failed."""

    exit_code = 9
    kind = "check"


class Interrupted(Fs4Error):
    """A signal asked to stop; everything up to here is saved.

    Args:
        signal: The signal's number, 2 (SIGINT) or 15 (SIGTERM).
    """

    kind = "interrupted"

    def __init__(self, message: str, *, signal: int, hints: tuple[str, ...] = ()):
        super().__init__(message, hints=hints)
        self.exit_code = 128 + signal
