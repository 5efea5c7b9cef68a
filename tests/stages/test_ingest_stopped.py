import os
import signal
import subprocess
import sys
import time
from collections import namedtuple
from pathlib import Path

import pytest
from photo_folder import ingest, save

from fs4cli.data.cache import ImageCache
from fs4cli.errors import Interrupted, ProjectError, ResourceError
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project

MAIN = Path(__file__).parents[2]


def test_the_cache_must_fit_on_the_disk(project: Project, photos: Path, monkeypatch: pytest.MonkeyPatch):
    usage = namedtuple("usage", "total used free")
    needed = 6 * 32 * 48 * 3 * 105 // 100
    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 64 * 1024 * 1024 + needed - 1))

    with pytest.raises(
        ResourceError, match="the decoded copies of 6 images need about 0 MB, the disk of `.*` has 67 MB"
    ):
        ingest(project, photos)
    assert not list(project.cache.glob("*.bin"))

    monkeypatch.setattr("shutil.disk_usage", lambda _: usage(0, 0, 64 * 1024 * 1024 + needed))
    assert ingest(project, photos).images == 6


class StopAfter(SilentProgress):
    """Asks to stop after some images."""

    def __init__(self, count: int):
        super().__init__()
        self.left = count

    def advance(self, count: int = 1, **_: float | int | str) -> None:
        self.left -= count

    def task(self, name: str, total: int | None, *, unit: str, done: int = 0):
        self.total, self.done = total, done
        return _Context(self)

    def stop_requested(self) -> int | None:
        return signal.SIGTERM if self.left <= 0 else None


class _Context:
    def __init__(self, task: StopAfter):
        self.task = task

    def __enter__(self) -> StopAfter:
        return self.task

    def __exit__(self, *_: object) -> None:
        pass


def test_a_stopped_run_keeps_what_it_read_and_goes_on(project: Project, photos: Path, tmp_path: Path):
    with pytest.raises(Interrupted) as caught:
        ingest(project, photos, progress=StopAfter(2))
    assert caught.value.exit_code == 143
    with pytest.raises(ProjectError):
        ImageCache.open(project.cache)

    progress = StopAfter(100)
    result = ingest(project, photos, progress=progress)

    assert (progress.total, progress.done) == (6, 2)
    assert result.fingerprint == ingest(Project(tmp_path / "other"), photos).fingerprint
    assert not list(project.stage("ingest").glob("journal*"))


KILLED = """
import sys
from pathlib import Path
from fs4cli.data import shards
shards.SHARD_BYTES = 20_000
shards.ShardWriter.__init__.__kwdefaults__["shard_bytes"] = 20_000
from fs4cli.config import Settings
from fs4cli.progress import SilentProgress
from fs4cli.project.project import Project
from fs4cli.stages.ingest import run_ingest
print("ready", flush=True)
settings = Settings.model_validate({"workers": 1, "ingest": {"cache_size": 32}})
run_ingest(Project(Path(sys.argv[1])), settings, images=[sys.argv[2]], progress=SilentProgress())
"""


def test_a_run_killed_at_any_moment_ends_as_one_left_alone(project: Project, tmp_path: Path):
    folder = tmp_path / "photos"
    for number in range(150):
        save(folder / f"{number:03}.jpg", number)
    (folder / "bad.jpg").write_bytes(b"words")
    alone = ingest(Project(tmp_path / "other"), folder)
    went_on = 0
    for round in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(project.root), str(folder)],
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join((str(MAIN), os.environ["PYTHONPATH"]))},
        )
        assert process.stdout is not None
        process.stdout.readline()
        shards = len(list(project.cache.glob("*.json")))
        started = time.monotonic()
        while len(list(project.cache.glob("*.json"))) < shards + 2 and process.poll() is None:
            time.sleep(0.002)
            assert time.monotonic() - started < 60
        time.sleep(0.005 * round)
        process.kill()
        process.wait()
        process.stdout.close()
        went_on += len(list(project.cache.glob("*.json"))) > shards

    result = ingest(project, folder)

    assert went_on >= 2
    assert (result.fingerprint, result.images, result.bad) == (alone.fingerprint, 150, 1)
    mine, theirs = ImageCache.open(project.cache), ImageCache.open(tmp_path / "other" / "ingest" / "cache")
    assert all((one == other).all() for one, other in zip(mine, theirs, strict=True))


def test_a_damaged_index_and_cache_are_made_anew(project: Project, photos: Path):
    first = ingest(project, photos)
    project.index.write_text("damaged\n")
    progress = SilentProgress()
    second = ingest(project, photos, progress=progress)
    (project.cache / "shard-000000.bin").write_bytes(b"")
    third = ingest(project, photos)

    assert "is damaged" in progress.warned[0]
    assert first.fingerprint == second.fingerprint == third.fingerprint
    assert len(ImageCache.open(project.cache)) == 6
