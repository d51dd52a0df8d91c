"""The embedded forge for tests: as its own process, and its keys for tests that call the app in theirs."""

import socket
import subprocess
import sys
import time
from collections.abc import Generator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import httpx
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

ADMIN = "admin-token"
APP_ID = "7"


@dataclass(frozen=True)
class AppKey:
    private: str
    public: str


@dataclass(frozen=True)
class ForgeProcess:
    url: str
    key: str


def app_key(name: str = "the App's") -> AppKey:
    return _key_of(name)


@cache
def _key_of(_: str) -> AppKey:
    """Once a name: making a pair takes a tenth of a second."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    return AppKey(
        private=key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        ).decode(),
        public=key.public_key()
        .public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
        .decode(),
    )


@contextmanager
def running_forge(home: Path, host: str = "127.0.0.1") -> Generator[ForgeProcess]:
    (home / "public.pem").write_text(app_key().public)
    (home / "admin").write_text(ADMIN)
    with socket.create_server((host, 0)) as listener:
        port = listener.getsockname()[1]
    command = [sys.executable, "-m", "infra.local.forge", "--root", str(home / "repos")]
    command += ["--host", host, "--port", str(port), "--app-id", APP_ID]
    command += ["--app-public-key", str(home / "public.pem")]
    command += ["--admin-token-file", str(home / "admin")]
    with subprocess.Popen(command, stderr=subprocess.DEVNULL) as process:
        try:
            url = f"http://{host}:{port}"
            _wait_for(url)
            yield ForgeProcess(url=url, key=app_key().private)
        finally:
            process.terminate()


def _wait_for(url: str) -> None:
    deadline = time.monotonic() + 60
    with httpx.Client(trust_env=False, timeout=5) as client:
        while time.monotonic() < deadline:
            try:
                if client.get(f"{url}/healthz").is_success:
                    return
            except httpx.TransportError:
                time.sleep(0.05)
    raise AssertionError("the forge did not come up")
