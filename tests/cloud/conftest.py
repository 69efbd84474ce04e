"""A local S3 server (moto's, a real HTTP server that speaks S3), and one that can be switched off and on."""

import os
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import boto3
import pytest

sys.path.insert(0, str(Path(__file__).parent))

from cloud_support import BUCKET, KEYS, Gate, free_port


@pytest.fixture(scope="session")
def moto_port():
    """AWS's control plane and S3, on the loopback; nothing of the developer's own keys reaches it."""
    port = free_port()
    env = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")} | KEYS
    server = subprocess.Popen(
        [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)],
        env=env,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 60
    while True:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        assert server.poll() is None and time.monotonic() < deadline, "moto did not start"
        time.sleep(0.1)
    yield port
    server.kill()
    server.wait()


@pytest.fixture
def aws(moto_port, monkeypatch):
    """An empty account with the project's bucket; every client of this test and of its children goes there."""
    endpoint = f"http://127.0.0.1:{moto_port}"
    for name in list(os.environ):
        if name.startswith("AWS_"):
            monkeypatch.delenv(name)
    for name, value in (KEYS | {"AWS_ENDPOINT_URL": endpoint}).items():
        monkeypatch.setenv(name, value)
    urllib.request.urlopen(urllib.request.Request(f"{endpoint}/moto-api/reset", method="POST"), timeout=10).close()
    boto3.client("s3").create_bucket(Bucket=BUCKET)
    return endpoint


@pytest.fixture
def gate(aws, moto_port, monkeypatch):
    """The account, reached through a gate that tests may shut."""
    relay = Gate(moto_port)
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{relay.port}")
    yield relay
    relay.shut()
