import os
import subprocess
import sys
from pathlib import Path

import pytest

from fs4cli.machine import SPINS, memory_limit, share_cores, usable_cores


def make_machine(root: Path, group: str, files: dict[str, str]) -> Path:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text(group)
    for name, text in files.items():
        path = root / "sys/fs/cgroup" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("group", "files", "cores"),
    [
        ("0::/\n", {"cpu.max": "200000 100000\n"}, 2),
        ("0::/\n", {"cpu.max": "150000 100000\n"}, 2),  # one and a half: rounded up
        ("0::/\n", {"cpu.max": "10000 100000\n"}, 1),
        ("0::/\n", {"cpu.max": "max 100000\n"}, 8),
        ("0::/a/b\n", {"a/cpu.max": "300000 100000", "a/b/cpu.max": "max 100000"}, 3),  # the one above binds
        ("4:cpu,cpuacct:/\n", {"cpu,cpuacct/cpu.cfs_quota_us": "400000", "cpu,cpuacct/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu,cpuacct:/x\n", {"cpu/x/cpu.cfs_quota_us": "400000", "cpu/x/cpu.cfs_period_us": "100000"}, 4),
        ("4:cpu:/\n", {"cpu/cpu.cfs_quota_us": "-1", "cpu/cpu.cfs_period_us": "100000"}, 8),
        ("1:name=systemd:/\n", {}, 8),
    ],
)
def test_a_containers_quota_limits_the_cores(tmp_path, monkeypatch, group, files, cores):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)

    assert usable_cores(make_machine(tmp_path, group, files)) == cores


def test_without_a_container_the_cpu_set_counts(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 3, 5}, raising=False)

    assert usable_cores(tmp_path) == 3


@pytest.mark.parametrize(
    ("group", "files", "limit"),
    [
        ("0::/\n", {"memory.max": "1048576\n"}, 1048576),
        ("0::/a/b\n", {"a/memory.max": "2097152", "a/b/memory.max": "max"}, 2097152),
        ("9:memory:/a\n", {"memory/a/memory.limit_in_bytes": "1048576"}, 1048576),
        ("0::/\n", {"memory.max": "max"}, None),
        ("9:memory:/\n", {"memory/memory.limit_in_bytes": "9223372036854771712"}, None),  # v1 for: no limit
    ],
)
def test_a_containers_limit_counts_if_it_is_below_the_machines_memory(tmp_path, group, files, limit):
    machine = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")

    assert memory_limit(make_machine(tmp_path, group, files)) == (limit or machine)


def test_threads_that_wait_soon_sleep_unless_the_user_said_how_they_wait():
    untouched, chosen, patient = {}, {"GOMP_SPINCOUNT": "5"}, {"OMP_WAIT_POLICY": "active"}

    for environment in (untouched, chosen, patient):
        share_cores(environment)

    assert untouched == {"GOMP_SPINCOUNT": str(SPINS)}
    assert chosen == {"GOMP_SPINCOUNT": "5"}
    assert patient == {"OMP_WAIT_POLICY": "active"}


def test_how_threads_wait_is_set_before_a_library_that_reads_it_is_loaded():
    code = (
        "import os, sys\nfrom fs4cli.cli import app\n"
        "app._run = lambda words: print(os.environ['GOMP_SPINCOUNT'], {'torch', 'faiss', 'numpy'} & set(sys.modules))\n"
        "app.main([])"
    )
    alone = {name: value for name, value in os.environ.items() if name not in ("GOMP_SPINCOUNT", "OMP_WAIT_POLICY")}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=alone)

    assert done.stdout.split() == [str(SPINS), "set()"], done.stderr
