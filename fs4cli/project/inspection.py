"""What is found when a project is looked through: each damage with its file and its remedy; how much was read."""

import struct
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from fs4cli.errors import InputError, ProjectError
from fs4cli.files import hash_file


@dataclass(frozen=True)
class Damage:
    """One thing that is not as fs4 left it.

    Args:
        stage: Whose it is; "settings" or "plan" for what belongs to no stage.
        path: Of the file or folder.
        problem: What is wrong with it, to be read after its name: "is missing".
        remedy: What to do about it.
    """

    stage: str
    path: Path
    problem: str
    remedy: str


@dataclass
class Inspection:
    """Collects what is found.

    Args:
        damages: In the order they were found.
        files: Read to their last byte.
        bytes: Of these.
    """

    damages: list[Damage] = field(default_factory=list)
    files: int = 0
    bytes: int = 0

    def report(self, stage: str, path: Path, problem: str, remedy: str) -> None:
        """Note a damage."""
        self.damages.append(Damage(stage, path, problem, remedy))

    def count(self, path: Path) -> None:
        """Note that a file is read to its last byte.

        Raises:
            FileNotFoundError: There is no such file.
        """
        self.bytes += path.stat().st_size
        self.files += 1

    def hash(self, path: Path) -> str:
        """The sha256 of a file, counted as read.

        Raises:
            FileNotFoundError: There is no such file.
        """
        self.count(path)
        return hash_file(path)

    @contextmanager
    def expect(self, stage: str, path: Path, remedy: str) -> Iterator[None]:
        """Whatever goes wrong while a file is read becomes a damage of it."""
        try:
            yield
        except FileNotFoundError as error:
            self.report(stage, Path(error.filename or path), "is missing", remedy)
        except (ProjectError, InputError) as error:
            self.report(stage, path, error.message.removeprefix(f"`{path}` "), remedy)
        except OSError as error:
            self.report(stage, path, f"cannot be read: {(error.strerror or str(error)).lower()}", remedy)
        except (ValueError, TypeError, LookupError, AttributeError, EOFError, struct.error, zlib.error) as error:
            text = str(error).splitlines()[0][:200] if str(error) else type(error).__name__
            self.report(stage, path, f"is not what fs4 wrote: {text}", remedy)
