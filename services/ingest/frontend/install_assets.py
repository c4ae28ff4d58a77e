"""Installs the dashboard's third-party files: `npm ci`, then a copy of the files that assets.toml lists.

Usage: python install_assets.py. It needs only the standard library, and the npm that requirements-build.lock installs
beside the Python that runs it. The files and their licences are written to ingest/dashboard/static/vendor, with
`installed.json` (what is there, and from which input). A second run with the same input does nothing.

The dashboard works without these files. So an npm that is missing or cannot be reached is a warning: files of an
earlier run stay, and the exit code is 0. It is 1 for a lock file that does not fit package.json, a package with a wrong
hash, and a listed file or icon that does not exist.
"""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

FRONTEND = Path(__file__).resolve().parent
VENDOR = FRONTEND.parent / "src/ingest/dashboard/static/vendor"
INPUT = ("package.json", "package-lock.json", ".npmrc", "assets.toml", Path(__file__).name)
RECORD = "installed.json"
TIME_LIMIT_S = 300
OURS_TO_FIX = {"EINTEGRITY", "EUSAGE", "EJSONPARSE"}
"""npm's error codes for files of this repository or packages that are wrong. All others are about reaching npm."""
DOCUMENTATION = re.compile(r"^[ \t]*/\*\*.*?\*/[ \t]*\n", re.DOTALL | re.MULTILINE)
SVG = "{http://www.w3.org/2000/svg}"


class WrongAssetsError(Exception):
    """The files of this repository and the packages do not fit each other."""


class NpmUnavailableError(Exception):
    """The packages could not be had."""


def input_hash(frontend: Path) -> str:
    """Changes when any file changes that decides what is installed."""
    digest = hashlib.sha256()
    for name in INPUT:
        digest.update(name.encode() + b"\0" + hashlib.sha256((frontend / name).read_bytes()).digest())
    return digest.hexdigest()


def is_installed(vendor: Path, wanted: str) -> bool:
    """Whether the present files are those of this input."""
    try:
        record: dict[str, Any] = json.loads((vendor / RECORD).read_text())
        return record["input"] == wanted and all((vendor / name).is_file() for name in record["files"])
    except (OSError, ValueError, KeyError):
        return False


def find_npm() -> str:
    """npm of the environment of this Python, or of the machine."""
    own = Path(sys.executable).parent / "npm"
    found = str(own) if own.exists() else shutil.which("npm")
    if found is None:
        raise NpmUnavailableError("there is no npm beside this Python (requirements-build.lock has it) or on PATH")
    return found


def run_npm_ci(npm: str, folder: Path) -> None:
    """Installs package-lock.json of a folder into its node_modules."""
    limits = ["--fetch-retries=1", "--fetch-retry-mintimeout=1000", "--fetch-timeout=60000"]
    try:
        run = subprocess.run(
            [npm, "ci", "--loglevel=error", *limits],
            cwd=folder,
            capture_output=True,
            text=True,
            timeout=TIME_LIMIT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise NpmUnavailableError(f"npm ci took more than {TIME_LIMIT_S} s") from None
    except OSError as error:
        raise NpmUnavailableError(f"npm cannot be run: {error}") from None
    if run.returncode == 0:
        return
    code = re.search(r"^npm (?:error|ERR!) code (\S+)", run.stderr, re.MULTILINE)
    if code and code[1] in OURS_TO_FIX:
        raise WrongAssetsError(f"npm ci failed:\n{run.stderr.strip()}")
    said = [re.sub(r"^npm (?:error|ERR!) ?", "", line) for line in run.stderr.splitlines()]
    reason = next((line for line in said if "failed" in line or "reason" in line), " ".join(said)).strip()
    raise NpmUnavailableError(f"npm ci: {reason[:300]}")


def existing(packages: Path, package: str, name: str) -> Path:
    """A file of a package."""
    path = packages / package / name
    if not path.is_file():
        raise WrongAssetsError(f"assets.toml names {name} of {package}, and the package has no such file")
    return path


def build_sprite(packages: Path, sprite: dict[str, Any], licence: str) -> str:
    """One SVG with a symbol `icon-NAME` for each icon, under the licence of the icons."""
    ElementTree.register_namespace("", SVG.strip("{}"))
    root = ElementTree.Element(f"{SVG}svg")
    ElementTree.SubElement(root, f"{SVG}metadata").text = licence
    for name in sprite["icons"]:
        path = existing(packages, sprite["package"], f"{sprite['folder']}/{name}.svg")
        drawing = ElementTree.fromstring(path.read_text(encoding="utf-8"))  # noqa: S314 -- pinned by its hash
        kept = {key: value for key, value in drawing.attrib.items() if key not in {"class", "width", "height"}}
        symbol = ElementTree.SubElement(root, f"{SVG}symbol", {"id": f"icon-{name}", **kept})
        for shape in drawing:
            shape.tail = None
            symbol.append(shape)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def copy_assets(packages: Path, assets: dict[str, Any], target: Path) -> dict[str, str]:
    """Copies the listed files with their licences into an empty folder; returns the version of each package."""
    versions: dict[str, str] = {}
    for package, listed in assets["packages"].items():
        versions[package] = json.loads(existing(packages, package, "package.json").read_text())["version"]
        for name, licence in {package: listed["licence"], **listed.get("bundled", {})}.items():
            shutil.copyfile(existing(packages, name, licence), target / licence_name(name))
        for name, source in listed["files"].items():
            (target / name).parent.mkdir(parents=True, exist_ok=True)
            copy_file(existing(packages, package, source), target / name, stripped=listed.get("stripped", False))
    sprite = assets["sprite"]
    licence = (target / licence_name(sprite["package"])).read_text(encoding="utf-8")
    (target / sprite["file"]).write_text(build_sprite(packages, sprite, licence), encoding="utf-8")
    return versions


def copy_file(source: Path, target: Path, *, stripped: bool) -> None:
    """Copies a file. `stripped`: without the comments `/** … */` that begin a line."""
    if stripped:
        text = source.read_text(encoding="utf-8")
        target.write_text(DOCUMENTATION.sub("", text), encoding="utf-8")
    else:
        shutil.copyfile(source, target)


def licence_name(package: str) -> str:
    """The name of the file with the licence of a package: all are in one folder."""
    return f"{package.replace('/', '-')}.LICENSE"


def module_names(assets: dict[str, Any]) -> dict[str, str]:
    """The file of each module, by the name by which other modules import it."""
    modules: dict[str, str] = {}
    for package, listed in assets["packages"].items():
        for name, file in listed.get("modules", {}).items():
            if file not in listed["files"]:
                raise WrongAssetsError(f"assets.toml names the module {file} of {package}, which is none of its files")
            modules[name] = file
    return modules


def install(frontend: Path, vendor: Path, npm: str | None) -> str | None:
    """Installs what is not there yet; returns a sentence about it, or None where nothing was to be done."""
    wanted = input_hash(frontend)
    if is_installed(vendor, wanted):
        return None
    vendor.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="filas-assets-") as folder:
        work = Path(folder)
        for name in ("package.json", "package-lock.json", ".npmrc"):
            shutil.copyfile(frontend / name, work / name)
        run_npm_ci(npm or find_npm(), work)
        # Beside the final place, so that the last step is a rename: no reader meets half of the files.
        with tempfile.TemporaryDirectory(prefix=".vendor-", dir=vendor.parent) as fresh:
            complete = Path(fresh) / "vendor"
            complete.mkdir(mode=0o755)
            assets = tomllib.loads((frontend / "assets.toml").read_text())
            versions = copy_assets(work / "node_modules", assets, complete)
            files = sorted(str(path.relative_to(complete)) for path in complete.rglob("*") if path.is_file())
            record = {"input": wanted, "packages": versions, "files": files, "modules": module_names(assets)}
            (complete / RECORD).write_text(json.dumps(record, indent=2) + "\n")
            if vendor.exists():
                vendor.rename(Path(fresh) / "replaced")
            complete.rename(vendor)
    return "The dashboard's assets: " + ", ".join(f"{name} {version}" for name, version in versions.items())


def main() -> int:
    """Returns the exit code."""
    parser = argparse.ArgumentParser(description="Installs the third-party files of the dashboard.")
    parser.add_argument("--frontend", type=Path, default=FRONTEND, help="the folder with package.json and assets.toml")
    parser.add_argument("--vendor", type=Path, default=VENDOR, help="the folder that the files are written to")
    parser.add_argument("--npm", help="the npm to run")
    options = parser.parse_args()
    try:
        done = install(options.frontend, options.vendor, options.npm)
    except NpmUnavailableError as error:
        state = "those of an earlier version stay" if (options.vendor / RECORD).exists() else "they are missing"
        print(
            f"Warning: the dashboard's icons, live updates and flow editor could not be installed ({error}); {state}. "
            "The dashboard works without them. The next `make up` tries again.",
            file=sys.stderr,
        )
        return 0
    except WrongAssetsError as error:
        print(f"The dashboard's assets: {error}", file=sys.stderr)
        return 1
    if done:
        print(done)
    return 0


if __name__ == "__main__":
    sys.exit(main())
