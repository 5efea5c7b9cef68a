"""What the machine lets this process use, cores and bytes, as a container's limits and other programs leave them."""

import os
from collections.abc import MutableMapping
from pathlib import Path

SPINS = 1000
"""How often a thread looks whether the others are done before it sleeps. OpenMP's own 300,000 keep a core busy that
another program wants, and the thread that is waited for may be the one that does not get it (docs/performance.md)."""


def share_cores(environment: MutableMapping[str, str] = os.environ) -> None:
    """Let threads that wait make room for other programs; what the user set stays. Before torch or faiss is loaded.

    Args:
        environment: Of this process, which GNU's OpenMP reads once, when it is loaded.
    """
    if "OMP_WAIT_POLICY" not in environment:
        environment.setdefault("GOMP_SPINCOUNT", str(SPINS))


def usable_cores(root: Path = Path("/")) -> int:
    """Cores this process may keep busy: its CPU set, cut by a container's quota (rounded up); at least 1.

    Args:
        root: Where `proc` and `sys` lie; tests draw their own.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    for folder in _control_groups(root, "cpu"):
        quota, period = (
            _read_words(folder / "cpu.max")
            or (_read_words(folder / "cpu.cfs_quota_us")[:1] + _read_words(folder / "cpu.cfs_period_us")[:1])
            or ("max", "1")
        )
        if quota.isdigit() and int(quota) > 0:  # "max" and "-1" say: no limit
            cores = min(cores, -(-int(quota) // int(period)))
    return max(cores, 1)


def memory_limit(root: Path = Path("/")) -> int:
    """Bytes of main memory this process may fill: the machine's, or a container's limit if that is less.

    Args:
        root: Where `proc` and `sys` lie; tests draw their own.
    """
    limit = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for folder in _control_groups(root, "memory"):
        for name in ("memory.max", "memory.limit_in_bytes"):
            words = _read_words(folder / name)
            if words and words[0].isdigit():
                limit = min(limit, int(words[0]))
    return limit


def _control_groups(root: Path, controller: str) -> list[Path]:
    """The folders of this process's control group and of all above it, cgroup v2 and v1."""
    top = root / "sys/fs/cgroup"
    folders = []
    for line in _read_lines(root / "proc/self/cgroup") or ["0::/"]:
        _, controllers, place = line.split(":", 2)
        if controllers and controller not in controllers.split(","):
            continue
        mount = top / controllers if controllers else top
        if controllers and not mount.exists():
            mount = top / controller
        parts = [part for part in place.split("/") if part not in ("", "..")]
        folders += [mount.joinpath(*parts[:depth]) for depth in range(len(parts), -1, -1)]
    return folders


def _read_lines(path: Path) -> list[str]:
    try:
        return path.read_text().splitlines()
    except OSError:
        return []


def _read_words(path: Path) -> tuple[str, ...]:
    return tuple(" ".join(_read_lines(path)).split())
