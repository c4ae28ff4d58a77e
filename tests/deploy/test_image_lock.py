"""Every image has a version and is in deploy/images.lock, which `make lock` writes from what the registry has."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import ClassVar

import pytest

from filas_local import image_lock
from filas_local.image_lock import LockError, Unreachable

ROOT = Path(__file__).parents[2]
LOCKED = image_lock.read_lock((ROOT / image_lock.LOCK).read_text())
FILES = image_lock.files(ROOT)
MANIFEST = json.dumps({"schemaVersion": 2, "manifests": []}).encode()
DIGEST = f"sha256:{hashlib.sha256(MANIFEST).hexdigest()}"
FLOATING = re.compile(r"latest|lts|stable|edge|main|master|nightly", re.IGNORECASE)


def has_version(image: str) -> bool:
    """Whether the tag is a version: it starts with a number, and no part of it is a name that moves."""
    _, colon, tag = image.rpartition(":")
    return bool(colon) and re.match(r"v?\d", tag) is not None and not FLOATING.search(tag)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_reference_is_the_one_of_the_lock_file(path: Path) -> None:
    """With the version and, once it is resolved, the digest."""
    text = path.read_text()
    assert set(image_lock.references(text)) <= set(image_lock.locked_references(LOCKED).values())
    # The lock file is only complete if the pattern for references finds each of them.
    for line in text.splitlines():
        if not line.lstrip().startswith("#") and re.search(r"(^FROM |^-? ?image: )", line.lstrip()):
            assert re.search(r"filas-|\$\{PYTHON_IMAGE\}", line) or list(image_lock.references(line)), line


def test_the_lock_file_has_versions_and_nothing_that_is_not_used() -> None:
    """No tag such as `latest` or `lts`. `make lock` would write the same text."""
    assert [image for image in LOCKED if not has_version(image)] == []
    used = {one for path in FILES for one in image_lock.references(path.read_text())}
    assert used == set(image_lock.locked_references(LOCKED).values())
    assert (ROOT / image_lock.LOCK).read_text() == image_lock.write_lock(LOCKED)
    assert "image_lock.py $(UPGRADE)" in (ROOT / "Makefile").read_text()


@pytest.mark.parametrize("image", ["redis", "redis:latest", "haproxy:lts-alpine", "prom/prometheus:latest", "a/b:edge"])
def test_a_tag_that_moves_is_no_version(image: str) -> None:
    assert not has_version(image)


def test_every_file_with_an_image_is_read() -> None:
    """A new compose file or Dockerfile elsewhere must be added to FILES."""
    outside = {"build", "node_modules", ".venv", ".filas"}
    for path in ROOT.rglob("*"):
        parts = path.relative_to(ROOT).parts
        if outside & set(parts) or path.suffix not in {".yml", ".yaml", ""} or not path.is_file() or ".git" in parts:
            continue
        text = path.read_bytes()[:200_000].decode(errors="replace")
        if re.search(r"^\s*image: \S|^FROM [a-z]", text, re.MULTILINE):
            assert path in FILES or path.name == "install-images", path


# ---- `make lock` -----------------------------------------------------------------------------------


class Registry(BaseHTTPRequestHandler):
    """A registry that asks for a token, as the public ones do."""

    asked: ClassVar[list[str]] = []

    def do_GET(self) -> None:
        """Answers the token, a manifest, or 404."""
        self.asked.append(self.path)
        host = self.headers["Host"]
        if self.path.startswith("/token?"):
            self._answer(200, json.dumps({"token": "t0"}).encode())
        elif self.headers.get("Authorization") != "Bearer t0":
            challenge = f'Bearer realm="http://{host}/token",service="tests",scope="repository:some/image:pull"'
            self._answer(401, b"{}", ("WWW-Authenticate", challenge))
        elif self.path == "/v2/some/image/manifests/1.2":
            self._answer(200, MANIFEST, ("Docker-Content-Digest", "sha256:" + "0" * 64))
        else:
            self._answer(404, b"{}")

    def _answer(self, status: int, body: bytes, *headers: tuple[str, str]) -> None:
        self.send_response(status)
        for name, value in (("Content-Length", str(len(body))), *headers):
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the name in the standard library
        """Writes no log."""


@pytest.fixture
def registry() -> Iterator[str]:
    """The address of a registry."""
    server = HTTPServer(("127.0.0.1", 0), Registry)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository with one image in three files."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "services/one").mkdir(parents=True)
    (tmp_path / image_lock.LOCK).write_text("some/image:1.2 unresolved\n")
    (tmp_path / "services/one/Dockerfile").write_text("ARG SOME_IMAGE=some/image:1.1\nFROM ${SOME_IMAGE}\n")
    (tmp_path / "docker-compose.yml").write_text(
        'a:\n  image: "${SOME_IMAGE:-some/image:1.1}"\nb:\n  image: filas-ingest\nurl: some/image:80\n'
    )
    (tmp_path / "deploy/pod.yaml").write_text("- image: some/image:1.0@sha256:" + "1" * 64 + "\n")
    return tmp_path


def test_the_digest_is_that_of_the_manifest(registry: str) -> None:
    """It is computed, not believed. Docker Hub asks for a token in the same way."""
    assert image_lock.resolve(f"{registry}/some/image:1.2", scheme="http") == DIGEST
    assert Registry.asked[-2] == "/token?service=tests&scope=repository%3Asome%2Fimage%3Apull"
    with pytest.raises(LockError, match="404"):
        image_lock.resolve(f"{registry}/some/image:9.9", scheme="http")


def test_a_registry_that_does_not_answer_is_unreachable(registry: str) -> None:
    with pytest.raises(Unreachable, match="cannot be reached"):
        image_lock.resolve("127.0.0.1:9/some/image:1.2", scheme="http")


def test_the_references_get_the_version_and_the_digest(repository: Path) -> None:
    """In every form of a reference. Our own images and other text stay as they are."""
    reports = image_lock.lock(repository, upgrade=False, resolve_image=lambda _: DIGEST)
    assert len(reports) == 3
    pinned = f"some/image:1.2@{DIGEST}"
    assert (repository / "services/one/Dockerfile").read_text() == f"ARG SOME_IMAGE={pinned}\nFROM ${{SOME_IMAGE}}\n"
    assert (repository / "docker-compose.yml").read_text() == (
        f'a:\n  image: "${{SOME_IMAGE:-{pinned}}}"\nb:\n  image: filas-ingest\nurl: some/image:80\n'
    )
    assert (repository / "deploy/pod.yaml").read_text() == f"- image: {pinned}\n"
    assert f"some/image:1.2 {DIGEST}\n" in (repository / image_lock.LOCK).read_text()
    assert image_lock.lock(repository, upgrade=False, resolve_image=lambda _: pytest.fail("resolved twice")) == []


def test_without_a_registry_the_digests_stay(repository: Path) -> None:
    """No digest is invented, and one that is known is not lost. The report names what is open."""

    def unreachable(_image: str) -> str:
        raise Unreachable("registry.example cannot be reached")

    reports = image_lock.lock(repository, upgrade=False, resolve_image=unreachable)
    assert "registry.example cannot be reached" in reports[-2]
    assert reports[-1] == "without a digest: some/image:1.2"
    assert "some/image:1.2 unresolved\n" in (repository / image_lock.LOCK).read_text()
    assert "sha256" not in (repository / "deploy/pod.yaml").read_text()
    image_lock.lock(repository, upgrade=False, resolve_image=lambda _: DIGEST)
    image_lock.lock(repository, upgrade=True, resolve_image=unreachable)
    assert DIGEST in (repository / "deploy/pod.yaml").read_text()


def test_an_image_that_is_not_locked_is_an_error(repository: Path) -> None:
    """Nothing is written."""
    (repository / "deploy/pod.yaml").write_text("- image: other/image:1.0\n")
    with pytest.raises(LockError, match="other/image"):
        image_lock.lock(repository, upgrade=False, resolve_image=lambda _: DIGEST)
    assert "unresolved" in (repository / image_lock.LOCK).read_text()
    assert DIGEST not in (repository / "services/one/Dockerfile").read_text()
