"""Runs of the real `fs4`, one after another, in processes that can be killed.

Importing torch takes longer than the whole toy job. So one process imports everything and forks for each run: the run
has its own process, its own signals and its own fate, and begins at once.
"""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

_FORK = '''
import json, os, signal, sys
import torch, timm, faiss
import fs4cli.pipeline
from fs4cli.cli.app import main

def watch_files(root, die_at):
    """Count the files below a folder that are opened for writing or renamed; die by SIGKILL just before one of them."""
    count, writes = [0], os.O_WRONLY | os.O_RDWR | os.O_CREAT

    def watch(event, values):
        if event == "open":
            is_write = isinstance(values[2], int) and values[2] & writes
            path = values[0] if is_write else None
        else:
            path = values[1] if event == "os.rename" else None
        if isinstance(path, (str, bytes, os.PathLike)) and os.path.abspath(os.fsdecode(path)).startswith(root):
            count[0] += 1
            if count[0] == die_at:
                os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(watch)
    return count


for line in sys.stdin:
    request = json.loads(line)
    pid = os.fork()
    if pid == 0:
        os.chdir(request["folder"])
        handle = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
        null = os.open(os.devnull, os.O_RDONLY)
        for target, source in ((0, null), (1, handle), (2, handle)):
            os.dup2(source, target)
        sys.argv = ["fs4", *request["args"]]
        code = 0
        count = watch_files(request["folder"] + os.sep, request["die_at"])
        try:
            code = main()
        except SystemExit as end:
            code = end.code
        sys.stdout.flush()
        sys.stderr.flush()
        with open("events.txt", "w") as file:
            file.write(str(count[0]))
        os._exit(code or 0)
    print(pid, flush=True)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
'''


class Launcher:
    """Starts runs of `fs4` in a folder; what they print is added to `output.txt` there."""

    def __init__(self):
        environment = {**os.environ, "OMP_NUM_THREADS": "1", "FS4_PROGRESS": "lines"}
        self._process = subprocess.Popen(
            [sys.executable, "-c", _FORK], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
        )

    def run(
        self,
        folder: Path,
        args: Sequence[str],
        *,
        until: Callable[[], bool] | None = None,
        number: int = signal.SIGKILL,
        die_at: int = 0,
    ) -> int:
        """Run `fs4` to its end, or send it a signal as soon as `until` says so; its exit code, -9 if it was killed.

        Args:
            folder: Where it runs; at its end `events.txt` says how many files it opened for writing or renamed there.
            args: Of `fs4`.
            until: Asked again and again while it runs.
            number: The signal.
            die_at: Or it dies by SIGKILL just before it opens or renames that file, counted from 1.
        """
        assert self._process.stdin is not None and self._process.stdout is not None
        self._process.stdin.write(json.dumps({"folder": str(folder), "args": list(args), "die_at": die_at}) + "\n")
        self._process.stdin.flush()
        pid = int(self._process.stdout.readline())
        if until is not None:
            while not until():
                # the fork waits for its child, so a child that ended is no zombie for long, and its number is gone
                try:
                    os.kill(pid, 0)
                except ProcessLookupError:
                    break
                time.sleep(0.002)
            else:
                os.kill(pid, number)
        return int(self._process.stdout.readline())

    def close(self) -> None:
        """End the process that forks."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(60)  # torch takes its time to go on a busy machine
