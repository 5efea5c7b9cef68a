import os
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from fs4cli.data.images import UnreadableImage, read_image
from fs4cli.data.reader import Reader
from fs4cli.data.readers import ReaderPool


def save(path: Path, value: int = 100, size: tuple[int, int] = (40, 30)) -> Path:
    Image.new("RGB", size, (value, 0, 0)).save(path)
    return path


@pytest.fixture(scope="module")
def slow_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Takes a second or so: 144 million pixels in 140 kB."""
    path = tmp_path_factory.mktemp("slow") / "slow.png"
    Image.new("L", (12000, 12000)).save(path)
    return path


def test_files_come_back_in_the_order_given(tmp_path: Path):
    paths = [save(tmp_path / f"{value}.png", value) for value in range(0, 250, 10)]

    with ReaderPool(2, seconds=30.0, short_side=16) as pool:
        readings = list(pool.read_all(paths))

    assert [int(reading.image.pixels[0, 0, 0]) for reading in readings] == list(range(0, 250, 10))
    assert all(reading.image.pixels.shape == (16, 21, 3) for reading in readings)
    assert all(reading.size == (30, 40) and len(reading.sha256) == 64 for reading in readings)


def test_a_bad_file_says_why_and_the_others_go_on(tmp_path: Path):
    (tmp_path / "bad.jpg").write_bytes(b"words")
    good = save(tmp_path / "good.png")

    with ReaderPool(1, seconds=30.0, short_side=16) as pool:
        bad, fine, missing = pool.read_all([tmp_path / "bad.jpg", good, tmp_path / "none.png"])

    assert (bad.image, bad.reason, bad.is_image, bad.is_lasting) == (None, "not an image: text", False, True)
    assert fine.image is not None
    assert (missing.reason, missing.is_lasting) == ("file not found", False)


def test_a_file_over_the_time_limit_is_given_up_and_the_next_one_is_read(tmp_path: Path, slow_file: Path):
    good = save(tmp_path / "good.png")

    with ReaderPool(1, seconds=0.3, short_side=16) as pool:
        warm, slow, fine = pool.read_all([good, slow_file, good])

    assert warm.image is not None and fine.image is not None
    assert slow.reason == "took too long: more than 0.3 s"
    assert not slow.is_lasting


def kill_while_reading(reader: Reader, times: int) -> threading.Thread:
    """Kill the reader's process, and the one after it, each while it is at a file."""

    def kill() -> None:
        killed: set[int] = set()
        while len(killed) < times:
            process, deadline = reader._process, reader._deadline
            is_at_a_file = deadline is not None and deadline - time.monotonic() < 31  # a start may take longer
            if process is not None and process.pid not in killed and is_at_a_file:
                process.kill()
                killed.add(process.pid)
            time.sleep(0.005)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    return thread


def test_a_reader_that_is_killed_once_tries_again(slow_file: Path):
    reader = Reader(seconds=30.0, short_side=16)
    thread = kill_while_reading(reader, 1)

    reading = reader.read(slow_file)

    thread.join(5)
    reader.close()
    reader.bury()
    assert reading.image is not None and reading.size == (12000, 12000)


def test_a_file_that_kills_its_reader_twice_is_bad(tmp_path: Path, slow_file: Path):
    reader = Reader(seconds=30.0, short_side=16)
    thread = kill_while_reading(reader, 2)

    reading = reader.read(slow_file)
    thread.join(5)
    after = reader.read(save(tmp_path / "good.png"))

    reader.close()
    reader.bury()
    assert reading.reason == "ended the process that read it: SIGKILL, perhaps out of memory"
    assert not reading.is_lasting
    assert after.image is not None


def test_stopping_does_not_wait_for_a_slow_file(slow_file: Path):
    started = time.monotonic()
    should_stop = lambda: time.monotonic() - started > 0.3  # noqa: E731
    with ReaderPool(1, seconds=30.0, short_side=None, should_stop=should_stop) as pool:
        readings = list(pool.read_all([slow_file] * 20))

    assert readings == []
    assert time.monotonic() - started < 5


def test_no_process_outlives_its_pool(tmp_path: Path):
    with ReaderPool(2, seconds=30.0, short_side=16) as pool:
        list(pool.read_all([save(tmp_path / "good.png")] * 4))
        processes = [reader._process.pid for reader in pool._readers if reader._process is not None]

    assert processes
    for pid in processes:
        with pytest.raises(ProcessLookupError):
            os.kill(pid, 0)


def test_a_reader_ends_when_whoever_asked_is_gone():
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "fs4cli.data.reader_process", "1000000", "none"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert process.stdin is not None and process.stdout is not None
    assert process.stdout.read(1) == b"\x06"

    process.stdin.close()

    assert process.wait(10) == 0


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is only sure to hold on Linux")
def test_a_reader_cannot_take_more_memory_than_its_pictures_need():
    script = (
        "from fs4cli.data.reader_process import limit_process; limit_process(1_000_000); bytearray(900 << 20);"
        "print('fits', flush=True); bytearray(1200 << 20)"
    )

    ended = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)

    assert ended.stdout == "fits\n"
    assert "MemoryError" in ended.stderr


def test_known_bytes_are_not_decoded_again(tmp_path: Path):
    path = save(tmp_path / "same.png")
    with ReaderPool(1, seconds=30.0, short_side=16) as pool:
        (first,) = pool.read_all([path])
        (again,) = pool.read_all([path], known={path: first.sha256})
        save(path, 101)
        (changed,) = pool.read_all([path], known={path: first.sha256})

    assert (again.image, again.reason, again.sha256) == (None, "", first.sha256)
    assert changed.image is not None


def test_only_the_size_is_read_where_only_the_size_is_asked_for(slow_file: Path):
    with ReaderPool(1, seconds=0.2, short_side=16) as pool:
        (reading,) = pool.read_all([slow_file], only_size=True)

    assert (reading.size, reading.image, reading.sha256) == ((12000, 12000), None, "")


def test_reading_with_a_time_limit_gives_what_reading_without_gives(tmp_path: Path, slow_file: Path):
    path = tmp_path / "photo.jpg"
    Image.fromarray(np.random.default_rng(0).integers(0, 256, (60, 80, 3), dtype=np.uint8)).save(path)

    guarded, plain = read_image(path, seconds=20.0), read_image(path)

    assert (guarded.pixels == plain.pixels).all()
    assert (guarded.size, guarded.format, guarded.mode) == (plain.size, plain.format, plain.mode)
    with pytest.raises(UnreadableImage, match="took too long"):
        read_image(slow_file, seconds=0.2)


def test_names_that_are_no_text_reach_the_reader(tmp_path: Path):
    path = Path(os.fsdecode(os.fsencode(tmp_path) + b"/odd_\xe9\n\t.png"))
    save(path)

    with ReaderPool(1, seconds=30.0, short_side=16) as pool:
        (reading,) = pool.read_all([path])

    assert reading.image is not None


def test_readers_carry_no_torch_and_hash_only_what_is_shrunk():
    script = "import sys, fs4cli.data.reader_process; print([n for n in ('torch', 'imagehash') if n in sys.modules])"

    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True).stdout == "[]\n"
