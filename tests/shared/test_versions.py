"""One version everywhere, and a changelog that has a section for it."""

import re
import tomllib

import pytest

from tests.documents import ROOT

PACKAGES = ("shared", "services/ingest", "services/flow-runner", "services/notifier", "deploy/local")


def version(package: str) -> str:
    """The version in the package's pyproject.toml."""
    found: str = tomllib.loads((ROOT / package / "pyproject.toml").read_text())["project"]["version"]
    return found


@pytest.mark.parametrize("package", PACKAGES)
def test_every_package_has_the_same_version(package: str) -> None:
    assert version(package) == version("shared")


@pytest.mark.parametrize("service", ["ingest", "flow-runner", "notifier"])
def test_every_image_has_the_version(service: str) -> None:
    assert f"ARG VERSION={version('shared')}\n" in (ROOT / "services" / service / "Dockerfile").read_text()


def test_the_newest_section_of_the_changelog_is_the_version() -> None:
    """It has a date, so that it can be tagged."""
    sections = re.findall(r"^## (\S+)(?: \((\d{4}-\d\d-\d\d)\))?$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert sections[0][0] == version("shared")
    assert all(date for _, date in sections)
