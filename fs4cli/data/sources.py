"""From what a user points at to the files to look at: folders, files, globs and lists of them.

Sources go in, each file comes out once: under the first root that leads to it, in an order that depends on the names
alone. Folders are walked through links, but no folder twice, and never up. Nothing is opened but list files.
"""

import fnmatch
import glob
import os
import stat
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from fs4cli.data.formats import HEAD_BYTES, recognize_content
from fs4cli.data.globs import expand_glob, is_inside, is_passed_over, leads_to_folder
from fs4cli.errors import InputError

_LIST_SUFFIXES = frozenset({".txt", ".lst", ".list"})


@dataclass(frozen=True, slots=True)
class FoundFile:
    """A file to look at.

    Args:
        root: Absolute path of the folder it was found under.
        path: Relative to the root, with `/`; bytes that are no UTF-8 are surrogate escapes.
        bytes: Its size; -1 if it is not there or no regular file.
        modified: When it was last written, in nanoseconds.
        problem: Why it need not be opened: missing, or not a regular file. Empty otherwise.
    """

    root: str
    path: str
    bytes: int
    modified: int
    problem: str = ""

    @property
    def place(self) -> str:
        """The absolute path."""
        return os.path.join(self.root, self.path)


@dataclass(frozen=True)
class FoundFiles:
    """All files of some sources.

    Args:
        files: To be looked at, in order.
        passed_over: How many hidden and system files, and files outside the pattern, were left.
        unreadable_folders: Folders that may not be listed.
    """

    files: tuple[FoundFile, ...]
    passed_over: int
    unreadable_folders: tuple[str, ...]

    def __iter__(self) -> Iterator[FoundFile]:
        return iter(self.files)

    def __len__(self) -> int:
        return len(self.files)


def find_images(sources: Sequence[str], pattern: str = "*", *, except_folders: Collection[str] = ()) -> FoundFiles:
    """Find the files behind the sources; what they hold is not looked at.

    A source is a folder (all below it), a file, a glob (`**` for any folders; what it matches is taken as if given), or
    a list file: a text file of paths, one a line, relative to its own folder, `#` for remarks. Hidden and system files
    are passed over unless named themselves.

    Args:
        sources: Absolute paths.
        pattern: Of the names of files found in folders, such as `*.jpg`; upper and lower case are the same.
        except_folders: Absolute paths that are not entered where they lie below a source.

    Raises:
        InputError: A source does not exist, or a glob matches nothing.
    """
    search = _Search(pattern.lower(), {os.path.realpath(folder) for folder in except_folders})
    for source in sources:
        search.take(os.path.abspath(source))
    return search.result()


class _Search:
    def __init__(self, pattern: str, except_folders: set[str]):
        self.pattern = pattern
        self.except_folders = except_folders
        self.passed_over = 0
        self.unreadable: list[str] = []
        self.roots: dict[str, int] = {}
        self.found: list[tuple[int, str, bool]] = []  # root, relative path, is a link
        self.walked: set[str] = set()

    def take(self, source: str, *, may_list: bool = True) -> None:
        if os.path.isdir(source):
            self.walk(source, "")
        elif os.path.lexists(source):
            if may_list and _is_list(source):
                for line in _read_list(source):
                    self.take_listed(os.path.dirname(source), line)
            else:
                self.add(os.path.dirname(source), os.path.basename(source))
        elif glob.has_magic(source):
            self.take_glob(source)
        elif may_list:
            raise InputError(
                f"there is no `{show_path(source)}`",
                hints=("check the path; quote globs so that the shell keeps them",),
            )
        else:
            self.add(os.path.dirname(source), os.path.basename(source))

    def take_listed(self, folder: str, line: str) -> None:
        place = os.path.normpath(os.path.join(folder, line))
        inside = os.path.relpath(place, folder)
        if os.path.isabs(line) or inside.startswith(os.pardir) or os.path.isdir(place):
            self.take(place, may_list=False)
        else:
            self.add(folder, inside.replace(os.sep, "/"))

    def take_glob(self, source: str) -> None:
        root, paths = expand_glob(source)
        shut = [folder for folder in self.except_folders if not is_inside(os.path.realpath(root), folder)]
        for path in paths:
            real = os.path.realpath(os.path.join(root, path))
            if any(is_inside(real, folder) for folder in shut):
                self.passed_over += 1
            elif os.path.isdir(real):
                self.walk(root, path)
            else:
                self.add(root, path)
        if not paths:
            raise InputError(f"nothing matches `{show_path(source)}`", hints=("check the path and the glob",))

    def walk(self, root: str, start: str) -> None:
        real_start = os.path.realpath(os.path.join(root, start))
        links = [start]
        while links:  # linked folders last: a file is known by its own place where it has one
            folders = [links.pop(0)]
            while folders:
                folder = folders.pop()
                real = os.path.realpath(os.path.join(root, folder))
                if real in self.walked or (folder != start and real in self.except_folders):
                    continue
                if real != real_start and is_inside(real_start, real):
                    continue  # a link up and out of the source: it leads to all that lies beside it
                self.walked.add(real)
                inner: list[str] = []
                for entry in self.list_folder(root, folder):
                    path = f"{folder}/{entry.name}" if folder else entry.name
                    if is_passed_over(entry.name):
                        self.passed_over += 1
                    elif leads_to_folder(entry):
                        (links if entry.is_symlink() else inner).append(path)
                    elif fnmatch.fnmatchcase(entry.name.lower(), self.pattern):
                        self.add(root, path, is_link=entry.is_symlink())
                    else:
                        self.passed_over += 1
                folders.extend(reversed(inner))

    def list_folder(self, root: str, folder: str) -> list[os.DirEntry[str]]:
        try:
            with os.scandir(os.path.join(root, folder)) as entries:
                return sorted(entries, key=lambda entry: os.fsencode(entry.name))
        except OSError:
            self.unreadable.append(os.path.join(root, folder))
            return []

    def add(self, root: str, path: str, *, is_link: bool | None = None) -> None:
        number = self.roots.setdefault(root, len(self.roots))
        linked = os.path.islink(os.path.join(root, path)) if is_link is None else is_link
        self.found.append((number, path, linked))

    def result(self) -> FoundFiles:
        first: dict[str, FoundFile] = {}
        places: dict[str, str] = {}
        rank: dict[str, tuple[int, bytes]] = {}
        roots = list(self.roots)
        # files before links to them, earlier roots before later ones
        for number, path, is_link in sorted(self.found, key=lambda found: (found[2], found[0], os.fsencode(found[1]))):
            folder, name = os.path.split(os.path.join(roots[number], path))
            real_folder = places.get(folder) or places.setdefault(folder, os.path.realpath(folder))
            real = os.path.realpath(os.path.join(folder, name)) if is_link else os.path.join(real_folder, name)
            if real not in first:
                first[real] = _look_at(roots[number], path)
                rank[real] = (number, os.fsencode(path))
        ordered = sorted(first, key=lambda real: rank[real])
        return FoundFiles(tuple(first[real] for real in ordered), self.passed_over, tuple(self.unreadable))


def show_path(path: str) -> str:
    """A path as text that can be printed: bytes that are no UTF-8 and control characters as visible escapes."""
    return "".join(_show_character(letter) for letter in path)


def _show_character(letter: str) -> str:
    code = ord(letter)
    if 0xDC80 <= code <= 0xDCFF:
        return f"\\x{code - 0xDC00:02x}"
    if letter.isprintable():
        return letter
    return letter.encode("unicode_escape", "surrogatepass").decode("ascii")


def _look_at(root: str, path: str) -> FoundFile:
    try:
        status = os.stat(os.path.join(root, path))
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        problem = "file not found" if missing else os.strerror(error.errno or 0).lower()
        return FoundFile(root, path, -1, 0, problem)
    kinds = {stat.S_IFREG: "", stat.S_IFIFO: "a named pipe", stat.S_IFSOCK: "a socket"}
    kind = kinds.get(stat.S_IFMT(status.st_mode), "a device")
    if kind:
        return FoundFile(root, path, -1, 0, f"not a regular file: {kind}")
    return FoundFile(root, path, status.st_size, status.st_mtime_ns)


def _is_list(path: str) -> bool:
    if os.path.splitext(path)[1].lower() not in _LIST_SUFFIXES or not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return not recognize_content(file.read(HEAD_BYTES)).format


def _read_list(path: str) -> Iterator[str]:
    with open(path, "rb") as file:
        for line in file.read().removeprefix(b"\xef\xbb\xbf").splitlines():
            if line.strip() and not line.startswith(b"#"):
                yield os.path.expanduser(os.fsdecode(line.rstrip(b"\r\n")))
