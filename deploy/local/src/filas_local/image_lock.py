"""Writes deploy/images.lock, and the references to its images in Dockerfiles, compose files and manifests.

`make lock` runs this file by itself, so it needs the standard library only. A line of the lock file is an image with
its version, and the digest of what the registry has under that version, or `unresolved`. To change a version, change
the line, set its digest to `unresolved`, and run `make lock`.
"""

import hashlib
import json
import re
import sys
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from urllib.parse import urlencode

LOCK = "deploy/images.lock"
FILES = (
    "services/*/Dockerfile",
    "docker-compose.yml",
    ".env.example",
    "deploy/**/*.yml",
    "deploy/**/*.yaml",
    "tests/deploy/*.yml",
)
UNRESOLVED = "unresolved"
HEADER = f"""\
# The images that are not built here. `make lock` writes this file, and these references into Dockerfiles, compose files
# and manifests. The second column is the digest of the image, or `{UNRESOLVED}` if no registry could be reached yet.
"""
TIMEOUT_S = 20.0
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MANIFEST_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)

_DIGEST = re.compile(r"sha256:[0-9a-f]{64}")
# `image: NAME`, `image: "${VARIABLE:-NAME}"`, `FROM NAME`, `ARG X_IMAGE=NAME`, `X_IMAGE: "${X_IMAGE:-NAME}"`.
_REFERENCE = re.compile(
    r"""(?P<lead>^[ #-]*image:[ ]+"?(?:\$\{\w+:-)?|^FROM[ ]+|_IMAGE=|_IMAGE:-)(?P<reference>[a-z0-9][\w./:@-]*)""",
    re.MULTILINE,
)
_OURS = re.compile(r"filas-[\w-]+(:.*)?")

Images = dict[str, str]
"""The digest, or UNRESOLVED, of each `name:version`."""


class Unreachable(Exception):
    """The registry does not answer."""


class LockError(Exception):
    """The lock file and the references contradict, or the registry does not have an image."""


def read_lock(text: str) -> Images:
    """Returns the images of a lock file. Raises LockError for a line that it cannot read."""
    images: Images = {}
    for line in text.splitlines():
        if not line or line.startswith("#"):
            continue
        image, _, digest = line.partition(" ")
        if ":" not in image or not (digest == UNRESOLVED or _DIGEST.fullmatch(digest)):
            raise LockError(f"{LOCK}: not an image with a version and a digest: {line!r}")
        images[image] = digest
    return images


def write_lock(images: Images) -> str:
    """Returns the text of the lock file."""
    return HEADER + "".join(f"{image} {digest}\n" for image, digest in sorted(images.items()))


def locked_references(images: Images) -> dict[str, str]:
    """Returns the reference to each image by its name: with the digest, if it is known."""
    return {
        image.rpartition(":")[0]: image if digest == UNRESOLVED else f"{image}@{digest}"
        for image, digest in images.items()
    }


def name_of(reference: str) -> str:
    """Returns the name in a reference, without version and digest."""
    image = reference.partition("@")[0]
    name, colon, version = image.rpartition(":")
    # The colon of a registry's port is followed by a slash.
    return name if colon and "/" not in version else image


def references(text: str) -> Iterator[str]:
    """Returns every reference to an image in a Dockerfile, a compose file, a manifest or `.env.example`."""
    for found in _REFERENCE.finditer(text):
        if not _OURS.fullmatch(found["reference"]):
            yield found["reference"]


def replace_references(text: str, locked: Mapping[str, str]) -> str:
    """Returns `text` with the locked reference in place of each reference. Raises LockError for an unknown image."""

    def replacement(found: re.Match[str]) -> str:
        reference = found["reference"]
        if _OURS.fullmatch(reference):
            return found[0]
        if name_of(reference) not in locked:
            raise LockError(f"{reference} is not in {LOCK}: add its line, with `{UNRESOLVED}` as the digest")
        return found["lead"] + locked[name_of(reference)]

    return _REFERENCE.sub(replacement, text)


def files(root: Path) -> list[Path]:
    """Returns the files with references."""
    return sorted({path for pattern in FILES for path in root.glob(pattern)})


def resolve(image: str, *, scheme: str = "https") -> str:
    """Returns the digest that the registry has for `name:version`: of the list of all platforms, if there is one.

    The digest is computed from the answer. Raises Unreachable, or LockError if the registry refuses.
    """
    name, _, version = image.rpartition(":")
    registry, _, repository = name.partition("/")
    if not repository or not ("." in registry or ":" in registry or registry == "localhost"):
        registry, repository = "registry-1.docker.io", name if "/" in name else f"library/{name}"
    url = f"{scheme}://{registry}/v2/{repository}/manifests/{version}"
    headers = {"Accept": ", ".join(MANIFEST_TYPES)}
    try:
        body = _get(url, headers)
    except urllib.error.HTTPError as error:
        if error.code != 401:
            raise LockError(f"{image}: {registry} answers {error.code}") from None
        token = _token(error.headers.get("WWW-Authenticate", ""), scheme)
        try:
            body = _get(url, headers | {"Authorization": f"Bearer {token}"})
        except urllib.error.HTTPError as refused:
            raise LockError(f"{image}: {registry} answers {refused.code}") from None
    if "schemaVersion" not in json.loads(body):
        raise LockError(f"{image}: {registry} answers without a manifest")
    return f"sha256:{hashlib.sha256(body).hexdigest()}"


def _get(url: str, headers: Mapping[str, str]) -> bytes:
    request = urllib.request.Request(url, headers=dict(headers))  # noqa: S310 - of a registry in the lock file
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT_S) as answer:  # noqa: S310
            body: bytes = answer.read(MAX_MANIFEST_BYTES)
            return body
    except urllib.error.HTTPError:
        raise
    except OSError as error:
        raise Unreachable(f"{url.split('/')[2]} cannot be reached: {getattr(error, 'reason', error)}") from None


def _token(challenge: str, scheme: str) -> str:
    """Returns the token of an anonymous caller, from the server that the registry names."""
    parameters = dict(re.findall(r'(\w+)="([^"]*)"', challenge))
    realm = parameters.pop("realm", "")
    if not realm.startswith(f"{scheme}://"):
        raise LockError(f"the registry asks for a login that is not supported: {challenge!r}")
    try:
        answer = json.loads(_get(f"{realm}?{urlencode(parameters)}", {}))
    except urllib.error.HTTPError as error:
        raise LockError(f"{realm} answers {error.code}") from None
    return str(answer.get("token") or answer.get("access_token"))


def lock(root: Path, *, upgrade: bool, resolve_image: Callable[[str], str] = resolve) -> list[str]:
    """Resolves the images without a digest, or all with `upgrade`, and writes the lock file and the references.

    Returns what to report. An image whose registry cannot be reached keeps its line. Raises LockError before anything
    is written.
    """
    images = read_lock((root / LOCK).read_text())
    reports = []
    unreachable: Unreachable | None = None
    for image, digest in images.items():
        if unreachable is None and (upgrade or digest == UNRESOLVED):
            try:
                images[image] = resolve_image(image)
            except Unreachable as error:
                unreachable = error
    locked = locked_references(images)
    changed = {path: replace_references(path.read_text(), locked) for path in files(root)}
    for path, text in changed.items():
        if text != path.read_text():
            path.write_text(text)
            reports.append(f"changed: {path.relative_to(root)}")
    (root / LOCK).write_text(write_lock(images))
    if unreachable is not None:
        reports.append(f"{unreachable}; the digests that were not asked for stay as they are")
    if open_ones := [image for image, digest in images.items() if digest == UNRESOLVED]:
        reports.append(f"without a digest: {', '.join(open_ones)}")
    return reports


def main(arguments: Sequence[str]) -> int:
    """Locks the images of the repository in the current directory. Returns the exit code."""
    try:
        for line in lock(Path.cwd(), upgrade="--upgrade" in arguments):
            sys.stdout.write(f"images: {line}\n")
    except LockError as error:
        sys.stderr.write(f"images: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
