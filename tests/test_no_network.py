"""The whole suite runs without a network: these are the tests of the block itself."""

import os
import socket
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from no_network import NetworkBlocked

from fs4cli.data.reader import Reader


def _connect() -> None:
    with socket.socket() as one:
        one.settimeout(1)
        one.connect(("127.0.0.1", 9))


def _listen() -> None:
    with socket.socket(socket.AF_INET6) as one:
        one.bind(("::1", 0))


def _send() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"usage statistics", ("127.0.0.1", 9))


def _fetch() -> None:
    urllib.request.urlopen("http://127.0.0.1:9/weights.pth", timeout=1)


def _resolve() -> None:
    socket.getaddrinfo("example.org", 443)


@pytest.mark.parametrize("ask", [_connect, _listen, _send, _fetch, _resolve], ids=lambda ask: ask.__name__)
def test_whoever_asks_the_internet_is_refused_and_noted(ask, no_network):
    with pytest.raises((NetworkBlocked, urllib.error.URLError)):
        ask()

    assert len(no_network) == 1
    no_network.clear()


def test_a_process_that_a_test_starts_has_no_network_either():
    code = "import socket; socket.create_connection(('127.0.0.1', 9), 1)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert "no_network.NetworkBlocked" in done.stderr


def test_the_process_that_reads_images_has_no_network_either(tmp_path):
    reader = Reader(seconds=30.0, short_side=None)
    reader.read(tmp_path / "nothing.png")
    process = reader._process
    assert process is not None
    environment = Path(f"/proc/{process.pid}/environ")
    if not environment.exists():
        pytest.skip("this system does not show what a process was started with")
    variables = environment.read_bytes().split(b"\0")
    reader.close()
    reader.bury()

    assert any(one.startswith(b"PYTHONPATH=") and b"/no_network" in one for one in variables)


def test_sockets_of_the_file_system_stay(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with socket.socket(socket.AF_UNIX) as one:
        one.bind("here")
        assert os.path.exists("here")
