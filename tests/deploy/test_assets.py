"""The dashboard's third-party files: pinned, copied with their licences, never committed, and not needed."""

import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parents[2]
FRONTEND = ROOT / "services/ingest/frontend"
VENDOR = "services/ingest/src/ingest/dashboard/static/vendor"
ASSETS: dict[str, Any] = tomllib.loads((FRONTEND / "assets.toml").read_text())
PACKAGES: dict[str, Any] = ASSETS["packages"]
LOCK: dict[str, Any] = json.loads((FRONTEND / "package-lock.json").read_text())
SVG = "{http://www.w3.org/2000/svg}"

# Installs as npm does, or fails as npm does: `FAILS` is an error code.
NPM = """#!/usr/bin/env bash
set -eu
[[ $1 == ci ]]
echo run >>{calls}
fails=$(cat {fails} 2>/dev/null || true)
if [[ -n $fails ]]; then
  printf 'npm error code %s\\nnpm error request to the registry failed\\n' "$fails" >&2
  exit 1
fi
cp -r {packages} node_modules
"""

pytestmark = pytest.mark.starts_processes


class Installation:
    """A folder that the script installs to, with an npm that reaches no network."""

    def __init__(self, folder: Path) -> None:
        self.vendor, self.packages = folder / "static/vendor", folder / "packages"
        self._calls, self._fails, self._npm = folder / "calls", folder / "fails", folder / "npm"
        self._npm.write_text(NPM.format(calls=self._calls, fails=self._fails, packages=self.packages))
        self._npm.chmod(0o755)
        for name, listed in PACKAGES.items():
            self.write(f"{name}/package.json", json.dumps({"version": "1.2.3"}))
            for owner, licence in {name: listed["licence"], **listed.get("bundled", {})}.items():
                self.write(f"{owner}/{licence}", f"licence of {owner} <&>")
            for source in listed["files"].values():
                self.write(f"{name}/{source}", f"content of {source}")
        for icon in ASSETS["sprite"]["icons"]:
            drawing = f'<svg class="lucide" xmlns="{SVG[1:-1]}" width="24" viewBox="0 0 24 24"><path d="M1 2"/></svg>'
            self.write(f"{ASSETS['sprite']['package']}/{ASSETS['sprite']['folder']}/{icon}.svg", drawing)

    def write(self, name: str, content: str) -> None:
        """Writes a file of a package."""
        path = self.packages / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)

    def npm_fails(self, code: str) -> None:
        """From now on npm fails with this error code."""
        self._fails.write_text(code)

    @property
    def calls(self) -> int:
        """How often npm ran."""
        return self._calls.read_text().count("run") if self._calls.exists() else 0

    def run(self, frontend: Path = FRONTEND) -> subprocess.CompletedProcess[str]:
        """Runs the script."""
        command = [sys.executable, str(FRONTEND / "install_assets.py"), "--frontend", str(frontend)]
        command += ["--vendor", str(self.vendor), "--npm", str(self._npm)]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    def files(self) -> dict[str, str]:
        """The installed files."""
        found = (path for path in self.vendor.rglob("*") if path.is_file())
        return {str(path.relative_to(self.vendor)): path.read_text() for path in found}


@pytest.fixture
def installation(tmp_path: Path) -> Installation:
    """An installation that has not run."""
    return Installation(tmp_path)


def test_the_lock_file_pins_every_package_by_hash_and_names_no_host() -> None:
    """It works with every registry, and nothing of a package runs at its installation."""
    package: dict[str, Any] = json.loads((FRONTEND / "package.json").read_text())
    assert LOCK["packages"][""]["dependencies"] == package["dependencies"]
    assert set(package["dependencies"]) == set(PACKAGES)
    for name, version in package["dependencies"].items():
        assert re.fullmatch(r"\d+\.\d+\.\d+", version), f"{name} is not pinned"
    for path, pinned in LOCK["packages"].items():
        assert not path or pinned["integrity"].startswith("sha512-"), path
        assert "hasInstallScript" not in pinned
    settings = (FRONTEND / ".npmrc").read_text()
    assert "omit-lockfile-registry-resolved=true" in settings
    assert "ignore-scripts=true" in settings
    assert not any("://" in path.read_text() for path in FRONTEND.glob("package*.json"))


def test_no_third_party_file_is_committed() -> None:
    """Git ignores the folder, and so does the context of the image's build, which installs its own."""
    if not (ROOT / ".git").exists():
        pytest.skip("not a clone")
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    assert not re.findall(r"^.*(?:/vendor/|node_modules/|\.min\.js$|\.LICENSE$).*$", tracked, re.MULTILINE)
    ignored = subprocess.run(["git", "check-ignore", f"{VENDOR}/idiomorph.js"], cwd=ROOT, check=False)
    assert ignored.returncode == 0
    assert "**/static/vendor" in (ROOT / ".dockerignore").read_text().splitlines()


def test_listed_files_are_copied_with_the_licences_of_their_packages(installation: Installation) -> None:
    """Nothing else is: not what else a package contains."""
    run = installation.run()
    assert (run.returncode, run.stderr) == (0, "")
    files = installation.files()
    for name, listed in PACKAGES.items():
        for owner in (name, *listed.get("bundled", {})):
            assert files.pop(f"{owner.replace('/', '-')}.LICENSE") == f"licence of {owner} <&>"
        for served, source in listed["files"].items():
            assert files.pop(served) == f"content of {source}"
    record = json.loads(files.pop("installed.json"))
    assert record["packages"] == dict.fromkeys(PACKAGES, "1.2.3")
    modules = {name: file for listed in PACKAGES.values() for name, file in listed.get("modules", {}).items()}
    assert record["modules"] == modules
    assert set(files) == {ASSETS["sprite"]["file"]}


def test_a_stripped_file_has_no_documentation(installation: Installation) -> None:
    """Only comments that begin a line are left out: any other text of that form may be a part of the program."""
    package, served, source = "crelt", "codemirror/crelt.js", "index.js"
    program = '/**\nWhat it does.\n*/\nconst a = 1; /** kept */\n  /** How. */\nconst b = "/** c */";\n// kept\n'
    assert PACKAGES[package]["stripped"]
    assert PACKAGES[package]["files"] == {served: source}
    installation.write(f"{package}/{source}", program)
    installation.run()
    assert installation.files()[served] == 'const a = 1; /** kept */\nconst b = "/** c */";\n// kept\n'


def test_the_sprite_has_every_icon_as_a_symbol_and_its_licence(installation: Installation) -> None:
    """It is one valid SVG, and a symbol takes its size from where it is used."""
    installation.run()
    root = ElementTree.fromstring(installation.files()[ASSETS["sprite"]["file"]])
    symbols = root.findall(f"{SVG}symbol")
    assert [symbol.get("id") for symbol in symbols] == [f"icon-{name}" for name in ASSETS["sprite"]["icons"]]
    assert all(symbol.attrib.keys() == {"id", "viewBox"} and len(symbol) == 1 for symbol in symbols)
    assert root.findtext(f"{SVG}metadata") == f"licence of {ASSETS['sprite']['package']} <&>"


def test_the_licences_of_everything_that_is_served_go_along() -> None:
    """A bundle contains the packages that its package needs, and those need. Types and tools are not in it."""
    not_in_a_bundle = {"js-tokens", "loose-envify"}
    listed = set(PACKAGES).union(*(package.get("bundled", {}) for package in PACKAGES.values()))
    pinned = {path.removeprefix("node_modules/") for path in LOCK["packages"] if path}
    assert {name for name in pinned if not name.startswith("@types/")} - not_in_a_bundle == listed


def test_a_second_run_asks_npm_for_nothing(installation: Installation) -> None:
    """Until a file is missing, or what is to be installed changes."""
    installation.run()
    assert installation.run().stdout == ""
    assert installation.calls == 1
    (installation.vendor / "idiomorph.js").unlink()
    installation.run()
    assert installation.calls == 2
    assert "idiomorph.js" in installation.files()


def test_a_change_of_the_lock_file_installs_again(installation: Installation, tmp_path: Path) -> None:
    """Old files are replaced, not added to."""
    installation.run()
    (installation.vendor / "old.js").write_text("")
    frontend = tmp_path / "frontend"
    frontend.mkdir()
    for path in FRONTEND.iterdir():
        if path.is_file():
            (frontend / path.name).write_bytes(path.read_bytes())
    (frontend / "package-lock.json").write_text(json.dumps(LOCK))
    assert installation.run(frontend).returncode == 0
    assert installation.calls == 2
    assert "old.js" not in installation.files()


@pytest.mark.parametrize("missing", ["idiomorph/dist/idiomorph.min.js", "lucide-static/icons/search.svg"])
def test_a_listed_file_that_a_package_does_not_have_is_an_error(installation: Installation, missing: str) -> None:
    """It names file and package, and leaves what was there."""
    (installation.packages / missing).unlink()
    run = installation.run()
    assert run.returncode == 1
    package, name = missing.split("/", 1)
    assert f"assets.toml names {name} of {package}" in run.stderr
    assert installation.files() == {}


@pytest.mark.parametrize("code", ["ENOTFOUND", "ETIMEDOUT", "E403"])
def test_an_npm_that_cannot_be_reached_is_a_warning(installation: Installation, code: str) -> None:
    """Set-up continues. What an earlier run installed stays."""
    installation.npm_fails(code)
    run = installation.run()
    assert run.returncode == 0
    assert "Warning" in run.stderr
    assert "request to the registry failed" in run.stderr
    assert "they are missing" in run.stderr
    assert installation.files() == {}
    installation.npm_fails("")
    assert installation.run().returncode == 0
    before = installation.files()
    (installation.vendor / "idiomorph.js").unlink()
    installation.npm_fails(code)
    run = installation.run()
    assert (run.returncode, "those of an earlier version stay" in run.stderr) == (0, True)
    assert installation.files().items() < before.items()


@pytest.mark.parametrize("code", ["EINTEGRITY", "EUSAGE"])
def test_a_package_with_another_hash_is_an_error(installation: Installation, code: str) -> None:
    """A package that was replaced is never used, and no one takes it for an outage."""
    installation.npm_fails(code)
    run = installation.run()
    assert run.returncode == 1
    assert code in run.stderr
    assert installation.files() == {}


def test_a_machine_without_npm_gets_a_warning(tmp_path: Path) -> None:
    """The image's build and `make up` continue."""
    command = [sys.executable, str(FRONTEND / "install_assets.py"), "--vendor", str(tmp_path / "vendor")]
    run = subprocess.run([*command, "--npm", "/nonexistent/npm"], capture_output=True, text=True, check=False)
    assert run.returncode == 0
    assert "npm cannot be run" in run.stderr
