"""The lock files: by hash, from wherever the machine's index is, and of one mind."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUNTIME = ROOT / "requirements.lock"
DEVELOPMENT = ROOT / "requirements-dev.lock"
BUILD = ROOT / "requirements-build.lock"
TRACING = ROOT / "requirements-tracing.lock"
SERVICES = sorted(ROOT.glob("services/*/requirements.lock"))
LOCKS = [RUNTIME, DEVELOPMENT, BUILD, TRACING, *SERVICES]
OURS = {"filas", "filas-local", "ingest", "flow-runner", "notifier"}


def name_of(requirement: str) -> str:
    found = re.match(r"[A-Za-z0-9._-]+", requirement)
    assert found, requirement
    return re.sub(r"[-_.]+", "-", found[0]).lower()


def pins(path: Path) -> dict[str, tuple[str, frozenset[str]]]:
    """Each package's version and hashes."""
    found: dict[str, tuple[str, frozenset[str]]] = {}
    for entry in path.read_text().replace("\\\n", " ").splitlines():
        pinned = re.match(r"(\S+?)==(\S+)", entry)
        if pinned:
            found[name_of(pinned[1])] = (pinned[2], frozenset(re.findall(r"--hash=(\S+)", entry)))
    return found


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: str(path.relative_to(ROOT)))
def test_every_package_is_pinned_by_hash_and_no_index_is_named(path: Path) -> None:
    """A lock works with any index that serves the same files, and with no others."""
    assert pins(path)
    for name, (_, hashes) in pins(path).items():
        assert hashes, f"{name} has no hash"
        assert name not in OURS, f"{name} is a package of this repository"
    assert not re.search(r"://|--index|--extra|--find", path.read_text())


def test_the_services_locks_make_up_the_one_at_the_root() -> None:
    """An image holds what was tested: the same versions and hashes, and nothing that no service needs."""
    together: dict[str, tuple[str, frozenset[str]]] = {}
    for path in SERVICES:
        together |= pins(path)
    assert together == pins(RUNTIME)
    for path in SERVICES:
        assert pins(path).items() <= pins(RUNTIME).items(), path


def test_tests_run_on_the_versions_of_production() -> None:
    """Development adds tools and changes no version; images are built by the tools of development."""
    assert pins(RUNTIME).items() <= pins(DEVELOPMENT).items()
    assert pins(BUILD).items() <= pins(DEVELOPMENT).items()


def test_what_writes_traces_is_added_to_an_image_and_changes_nothing_of_it() -> None:
    """The versions that are tested; those of the service itself stay."""
    assert pins(TRACING).items() <= pins(DEVELOPMENT).items()
    shared = {name: pin for name, pin in pins(TRACING).items() if name in pins(RUNTIME)}
    assert shared.items() <= pins(RUNTIME).items()
    extra = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]["optional-dependencies"]["tracing"]
    assert {name_of(requirement) for requirement in extra} <= set(pins(TRACING)) - set(pins(RUNTIME))


@pytest.mark.parametrize("service", sorted((ROOT / "services").iterdir()), ids=lambda path: path.name)
def test_a_services_lock_has_what_its_packages_ask_for(service: Path) -> None:
    """A dependency that was added without `make lock` is found here."""
    shared = tomllib.loads((ROOT / "shared/pyproject.toml").read_text())["project"]
    wanted = list(shared["dependencies"])
    for requirement in tomllib.loads((service / "pyproject.toml").read_text())["project"]["dependencies"]:
        if name_of(requirement) != "filas":
            wanted.append(requirement)
        elif extras := re.search(r"\[(.*)\]", requirement):
            for extra in extras[1].split(","):
                wanted += shared["optional-dependencies"][extra]
    assert {name_of(requirement) for requirement in wanted} <= set(pins(service / "requirements.lock"))


def test_the_notifier_goes_without_what_only_flows_need() -> None:
    """Memory and attack surface: it delivers messages and reads no flow."""
    assert not {"python-liquid", "jmespath", "google-re2", "cronsim"} & set(
        pins(ROOT / "services/notifier/requirements.lock")
    )
