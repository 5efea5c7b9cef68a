import errno
import hashlib
import os
import pickle
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from fs4cli.data.cache import ImageCache, is_untouched
from fs4cli.data.shards import ShardWriter
from fs4cli.errors import ProjectError, ResourceError

MAIN = Path(__file__).parents[2]


def picture(number: int, height: int = 8, width: int = 10) -> np.ndarray:
    return np.random.default_rng(number).integers(0, 256, (height, width, 3), dtype=np.uint8)


def name(number: int) -> str:
    """Stands for the sha256 of a file."""
    return hashlib.sha256(b"%d" % number).hexdigest()


def image_id(number: int) -> str:
    return f"{number:016x}"


def fill(folder: Path, numbers, **options) -> ImageCache:
    """A finished cache of these pictures, in this order."""
    writer = ShardWriter(folder, short_side=8, rules=1, **options)
    for number in numbers:
        writer.add(name(number), picture(number, width=10 + number % 3))
    return writer.publish([(image_id(number), name(number)) for number in numbers])


def test_pictures_come_back_in_the_order_published_as_views_of_the_file(tmp_path: Path):
    cache = fill(tmp_path, [3, 1, 2])

    assert len(cache) == 3
    assert cache.image_ids == [image_id(3), image_id(1), image_id(2)]
    assert cache.sizes.tolist() == [[8, 10], [8, 11], [8, 12]]
    assert all(
        (pixels == picture(number, width=10 + number % 3)).all()
        for pixels, number in zip(cache, [3, 1, 2], strict=True)
    )
    assert not cache[0].flags.writeable and not cache[0].flags.owndata
    assert cache.bytes == 8 * (10 + 11 + 12) * 3
    assert (cache[-1] == cache[2]).all() and len(cache[1:]) == 2
    with pytest.raises(IndexError):
        cache[3]


def test_shards_are_bounded_and_read_as_one(tmp_path: Path):
    cache = fill(tmp_path, range(20), shard_bytes=1000)

    shards = sorted(tmp_path.glob("shard-*.bin"))
    assert len(shards) == 5
    assert max(path.stat().st_size for path in shards) < 1000 + 8 * 12 * 3
    assert all((cache[place] == picture(place, width=10 + place % 3)).all() for place in range(20))


def test_a_cache_can_be_sent_to_another_process(tmp_path: Path):
    cache = fill(tmp_path, range(4))

    again = pickle.loads(pickle.dumps(cache))

    assert again.image_ids == cache.image_ids and (again[3] == cache[3]).all()


def test_an_old_shard_is_closed_so_that_a_kill_loses_little(tmp_path: Path):
    writer = ShardWriter(tmp_path, short_side=8, rules=1, shard_seconds=0.0)
    writer.add(name(1), picture(1))

    assert ShardWriter(tmp_path, short_side=8, rules=1).places.keys() == {name(1)}


def test_what_was_not_closed_is_thrown_away_and_what_was_is_kept(tmp_path: Path):
    writer = ShardWriter(tmp_path, short_side=8, rules=1)
    writer.add(name(1), picture(1))
    writer.close_shard()
    writer.add(name(2), picture(2))  # and here the process is killed

    again = ShardWriter(tmp_path, short_side=8, rules=1)

    assert again.places.keys() == {name(1)}
    assert [path.name for path in tmp_path.glob("*.bin")] == ["shard-000000.bin"]
    again.add(name(2), picture(2))
    cache = again.publish([(image_id(2), name(2)), (image_id(1), name(1))])
    assert (cache[0] == picture(2)).all() and (cache[1] == picture(1)).all()


def test_the_same_bytes_are_kept_once(tmp_path: Path):
    writer = ShardWriter(tmp_path, short_side=8, rules=1)
    for _ in range(3):
        writer.add(name(1), picture(1))
    writer.close_shard()
    writer.add(name(1), picture(1))
    writer.publish([(image_id(1), name(1))])

    assert (tmp_path / "shard-000000.bin").stat().st_size == 8 * 10 * 3
    assert len(list(tmp_path.glob("*.bin"))) == 1


@pytest.mark.parametrize("settings", [{"short_side": 9, "rules": 1}, {"short_side": 8, "rules": 2}])
def test_shards_made_by_other_settings_are_not_taken(tmp_path: Path, settings):
    fill(tmp_path, range(4))

    assert ShardWriter(tmp_path, **settings).places == {}
    assert list(tmp_path.glob("shard-*")) == []


def test_there_is_no_cache_before_it_is_published(tmp_path: Path):
    writer = ShardWriter(tmp_path, short_side=8, rules=1)
    writer.add(name(1), picture(1))
    writer.close_shard()

    with pytest.raises(ProjectError, match="there is no image cache"):
        ImageCache.open(tmp_path)


def damage_size(folder: Path) -> None:
    path = folder / "shard-000001.bin"
    path.write_bytes(path.read_bytes()[:-1])


def damage_shard(folder: Path) -> None:
    (folder / "shard-000001.bin").unlink()


def damage_table(folder: Path) -> None:
    (path,) = folder.glob("table-*.npy")
    data = bytearray(path.read_bytes())
    data[-3] ^= 1
    path.write_bytes(data)


def damage_header(folder: Path) -> None:
    (folder / "cache.json").write_text('{"format": 1}')


@pytest.mark.parametrize("damage", [damage_size, damage_shard, damage_table, damage_header])
def test_a_damaged_cache_is_not_opened_and_is_mended_with_what_is_whole(tmp_path: Path, damage):
    fill(tmp_path, range(8), shard_bytes=1000)
    damage(tmp_path)

    with pytest.raises(ProjectError):
        ImageCache.open(tmp_path)
    assert not is_untouched(tmp_path)
    writer = ShardWriter(tmp_path, short_side=8, rules=1)
    lost = [number for number in range(8) if name(number) not in writer.places]
    assert len(lost) in (0, 4)
    assert [row.tolist() for row in fill(tmp_path, range(8))] == [
        picture(n, width=10 + n % 3).tolist() for n in range(8)
    ]


def test_a_changed_byte_is_noticed_by_its_time_and_its_hash(tmp_path: Path):
    fill(tmp_path, range(4))
    path = tmp_path / "shard-000000.bin"
    data = bytearray(path.read_bytes())
    data[5] ^= 1
    path.write_bytes(data)

    assert not is_untouched(tmp_path)
    assert ShardWriter(tmp_path, short_side=8, rules=1).places == {}


def test_a_copied_cache_is_checked_once_and_kept(tmp_path: Path):
    fill(tmp_path, range(4))
    os.utime(tmp_path / "shard-000000.bin", ns=(5, 5))
    assert not is_untouched(tmp_path)

    assert len(ShardWriter(tmp_path, short_side=8, rules=1).places) == 4

    assert is_untouched(tmp_path)


def test_publishing_the_same_again_writes_nothing(tmp_path: Path):
    fill(tmp_path, range(4))
    before = {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()}

    fill(tmp_path, range(4))

    assert {path.name: path.stat().st_mtime_ns for path in tmp_path.iterdir()} == before


def test_what_nothing_points_to_is_freed(tmp_path: Path):
    fill(tmp_path, range(20), shard_bytes=1000)

    cache = fill(tmp_path, [0, 1, 2, 3, 19])  # the first shard whole, one picture of the last

    assert sum(path.stat().st_size for path in tmp_path.glob("*.bin")) == cache.bytes
    assert (cache[4] == picture(19, width=11)).all()
    assert len(list(tmp_path.glob("table-*.npy"))) == 1


def test_a_full_disk_keeps_what_was_closed_and_frees_what_was_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    writer = ShardWriter(tmp_path, short_side=8, rules=1)
    writer.add(name(1), picture(1))
    writer.close_shard()
    writer.add(name(2), picture(2))

    def refuse(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", refuse)
    with pytest.raises(ResourceError, match="no space left"):
        writer.close_shard()
    writer.discard_open()
    monkeypatch.undo()

    assert ShardWriter(tmp_path, short_side=8, rules=1).places.keys() == {name(1)}


WRITE_FOR_EVER = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[2])
from test_cache import fill
for turn in range(10_000):
    numbers = range(turn % 7, turn % 7 + 12)
    fill(Path(sys.argv[1]), numbers, shard_bytes=600)
    print(turn, flush=True)
"""


def test_a_writer_killed_at_any_moment_leaves_a_whole_cache(tmp_path: Path):
    folder = tmp_path / "cache"
    fill(folder, range(12), shard_bytes=600)
    for round in range(6):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE_FOR_EVER, str(folder), str(Path(__file__).parent)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(MAIN), os.environ["PYTHONPATH"]))},
        )
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.011 * round + 0.003)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdout.close()

        cache = ImageCache.open(folder)

        numbers = [int(one, 16) for one in cache.image_ids]
        assert len(numbers) == 12
        assert all((cache[place] == picture(n, width=10 + n % 3)).all() for place, n in enumerate(numbers))
