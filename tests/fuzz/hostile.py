"""What hostile inputs are made of, and the guard under which each is tried: only named errors, no hang, hands off."""

import json
import os
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fs4cli.errors import Fs4Error

EXAMPLES = int(os.environ.get("FS4_FUZZ_EXAMPLES", "25"))
"""Inputs of each reader; `make soak` asks for many more."""
IS_LONG = "FS4_FUZZ_EXAMPLES" in os.environ
SECONDS = 10.0
"""No input may take longer."""

tried: Counter[str] = Counter()
"""Inputs by reader, and how many of them were refused (`reader: refused`)."""

fuzz = settings(
    max_examples=EXAMPLES,
    deadline=None,  # `guard` watches the time: a busy machine is no failure
    database=None,
    derandomize=not IS_LONG,  # CI tries the same few each time, a long run others each time
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


# ---- the guard ---------------------------------------------------------------------------------------------------

_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_PLACES = {"os.mkdir": (0,), "os.rename": (0, 1), "os.remove": (0,), "os.link": (1,), "os.symlink": (1,)}
_PLACES |= {"os.rmdir": (0,), "os.truncate": (0,), "os.chmod": (0,), "os.utime": (0,), "shutil.rmtree": (0,)}
_NEVER = ("os.system", "subprocess.Popen", "os.exec", "socket.connect", "pickle.find_class")
_home: Path | None = None
_breaches: list[str] = []


def _watch(event: str, values: tuple[Any, ...]) -> None:
    if _home is None:
        return
    if event == "open":
        touched = values[:1] if isinstance(values[2], int) and values[2] & _WRITES else ()
    elif event in _NEVER:
        _breaches.append(f"{event} {values!r}"[:200])
        return
    else:
        touched = tuple(values[number] for number in _PLACES.get(event, ()))
    for place in touched:
        if isinstance(place, str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(place))
            if path not in ("/dev/null", str(_home)) and not path.startswith(f"{_home}{os.sep}"):
                _breaches.append(f"{event} {path}")


sys.addaudithook(_watch)


@contextmanager
def guard(home: Path) -> Iterator[None]:
    """Nothing outside `home` is written, nothing is run, and it ends in time."""
    global _home
    _breaches.clear()

    def ring(number: int, frame: Any) -> None:
        raise TimeoutError(f"a hang: longer than {SECONDS} s")

    compiles, sys.dont_write_bytecode = (
        sys.dont_write_bytecode,
        True,
    )  # a module's first import would write its bytecode
    before = signal.signal(signal.SIGALRM, ring)
    signal.setitimer(signal.ITIMER_REAL, SECONDS * (3 if IS_LONG else 6))  # other work on the machine counts too
    _home = Path(os.path.realpath(home))
    try:
        yield
    finally:
        _home = None
        sys.dont_write_bytecode = compiles
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    assert _breaches == [], list(_breaches)  # the next guard empties it


def attempt(reader: str, home: Path, read: Callable[[], object]) -> None:
    """One input: it is read, or refused by a named error with one line of message."""
    tried[reader] += 1
    try:
        with guard(home):
            read()
    except Fs4Error as error:
        tried[f"{reader}: refused"] += 1
        assert error.message and error.kind != "bug"
        assert "Traceback" not in error.message


# ---- bytes: a whole file that came to harm -----------------------------------------------------------------------

_TOKENS = (b"\x00", b"\xff" * 4, b"\x7f\xff\xff\xff", b"\x80\x00\x00\x00", b"IHDR", b"IDAT", b"IEND", b"tRNS")
_TOKENS += (b"PLTE",)
_TOKENS += (
    b"\xff\xd8",
    b"\xff\xda",
    b"II*\x00",
    b"MM\x00*",
    b"RIFF",
    b"zTXt",
    b"iCCP",
    b"Exif\x00\x00",
    b"\r\n",
    b"-1",
)


@st.composite
def harmed(draw: st.DrawFn, whole: list[bytes]) -> bytes:
    """One of some whole files with bytes flipped, cut out, doubled, inserted, or its end missing."""
    data = bytearray(draw(st.sampled_from(whole)))
    for _ in range(draw(st.integers(0, 6))):
        place = draw(st.integers(0, max(0, len(data) - 1)))
        length = draw(st.integers(1, 64))
        kind = draw(st.sampled_from(("flip", "cut", "double", "insert", "end", "set", "number")))
        if kind == "flip" and data:
            data[place] ^= 1 << draw(st.integers(0, 7))
        elif kind == "cut":
            del data[place : place + length]
        elif kind == "double":
            data[place:place] = data[place : place + length]
        elif kind == "insert":
            data[place:place] = draw(st.one_of(st.sampled_from(_TOKENS), st.binary(max_size=16)))
        elif kind == "set":
            token = draw(st.sampled_from(_TOKENS))
            data[place : place + len(token)] = token
        elif kind == "number":
            data[place : place + 4] = draw(st.integers(0, 2**32 - 1)).to_bytes(
                4, draw(st.sampled_from(("big", "little")))
            )
        else:
            del data[place:]
    return bytes(data)


# ---- text and values ---------------------------------------------------------------------------------------------

PATHS = (
    "../../outside",
    "/etc/passwd",
    "/tmp/fs4-outside",
    "a/../../b",
    "~root",
    "~\0",
    "C:\\x",
    "",
    ".",
    "..",
    "a\0b",
)
WORDS = st.one_of(
    st.sampled_from(
        (*PATHS, "auto", "none", "null", "true", "<b>", "\x1b[31m", "‮", "1e999", "nan", "1_", "0x10", "1:30")
    ),
    st.text(max_size=12),
)
NUMBERS = st.one_of(
    st.integers(-3, 300),
    st.integers(),
    st.sampled_from((2**31, 2**63, 10**30, -1, 10**400)),
    st.floats(),
)
VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), NUMBERS, WORDS),
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(WORDS, inner, max_size=4)),
    max_leaves=8,
)


@st.composite
def tampered(draw: st.DrawFn, whole: dict[str, Any]) -> Any:
    """A JSON object of fs4's own with some fields changed, removed or added, at any depth; or another value."""
    if draw(st.integers(0, 9)) == 0:
        return draw(VALUES)
    value = json.loads(json.dumps(whole))
    for _ in range(draw(st.integers(0, 3))):
        place = value
        while True:
            if not isinstance(place, dict | list) or not place:
                break
            key = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
            inner = place[key]
            if isinstance(inner, dict | list) and inner and draw(st.booleans()):
                place = inner
                continue
            act = draw(st.sampled_from(("change", "change", "remove", "add")))
            if act == "remove":
                del place[key]
            elif act == "add" and isinstance(place, dict):
                place[draw(WORDS)] = draw(VALUES)
            else:
                place[key] = draw(VALUES)
            break
    return value


@st.composite
def json_files(draw: st.DrawFn, whole: dict[str, Any]) -> bytes:
    """The bytes of a JSON file: a tampered object, sometimes harmed as bytes too."""
    data = json.dumps(draw(tampered(whole))).encode("utf-8", "surrogatepass")
    if draw(st.integers(0, 3)) == 0:
        data = draw(harmed([data]))
    if draw(st.integers(0, 40)) == 0:
        data = draw(st.sampled_from((b"[" * 100_000, b'{"a":' * 50_000, b"", b"\xff\xfe", b"9" * 5000, b"null")))
    return data
