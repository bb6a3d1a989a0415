"""What is built to be installed: the same bits each time, with all that it should hold, and usable.

The package and its stubs are built from copies of what git tracks, so that nothing is left here.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Iterable
from email.message import Message
from email.parser import Parser
from hashlib import sha256
from pathlib import Path

import pytest
from checkers import ROOT, environment, python
from readme_renderer import markdown

import thunder_policy
from thunder_policy import cli

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not (ROOT / ".git").exists(), reason="what is tracked, only git can tell"),
]

VERSION = thunder_policy.__version__
NAMES = {".": "thunder_policy", "stubs": "thunder_policy_stubs"}
EVERY_DISTRIBUTION = pytest.mark.parametrize("of", NAMES)
# What the build adds: the metadata, and the list of what it leaves out.
ADDED = {"PKG-INFO", ".gitignore", "pyproject.toml"}
# What a checkout has that was worked in.
LEFT_BEHIND = [
    "thunder_policy/__pycache__/policy.cpython-311.pyc",
    "thunder_policy/conformance/__pycache__/runs.cpython-311.pyc",
    "tests/.hypothesis/unicode_data/charmap",
    "tests/__pycache__/helpers.cpython-311.pyc",
    "stubs/toolz-stubs/.mypy_cache/3.10/toolz.data.json",
    "stubs/dist/thunder_policy_stubs-0.0.0.tar.gz",
    "dist/thunder_policy-0.0.0.tar.gz",
    ".coverage",
]

CUSTOM = '''
"""A policy of somebody else's."""

from thunder_policy import Policy, Switch


class InverseSqrt(Policy):
    def get_lr(self):
        return [lr / (self.last_epoch + 1) ** 0.5 for lr in self.base_lrs]


def switch():
    return Switch({0: 0.1, 3: 0.01})
'''


def tracked() -> list[str]:
    """Return the files of git, those that are new among them."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout
    return [name for name in names.splitlines() if (ROOT / name).exists()]


def copy_to(where: Path, names: Iterable[str], umask: int, time: int) -> Path:
    """Write files anew, as a user with another umask and another clock does."""
    before = os.umask(umask)
    try:
        for name in names:
            (where / name).parent.mkdir(parents=True, exist_ok=True)
            (where / name).write_bytes((ROOT / name).read_bytes())
            os.utime(where / name, (time, time))
    finally:
        os.umask(before)
    return where


def build(source: Path, into: Path, umask: int, *frontend: str, **environ: str) -> list[Path]:
    """Build the sdist and the wheel of a folder, in this order."""
    inherited = {key: value for key, value in os.environ.items() if key != "SOURCE_DATE_EPOCH"}
    done = subprocess.run(
        [sys.executable, "-m", *(frontend or ("hatchling", "build", "-d")), into],
        cwd=source,
        env={**inherited, **environ},
        umask=umask,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (sdist,), (wheel,) = into.glob("*.tar.gz"), into.glob("*.whl")
    return [sdist, wheel]


Built = dict[str, list[Path]]


@pytest.fixture(scope="module")
def checkout(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a checkout in which somebody has worked."""
    checkout = copy_to(tmp_path_factory.mktemp("checkout"), tracked(), 0o022, 1_700_000_000)
    for name in LEFT_BEHIND:
        (checkout / name).parent.mkdir(parents=True, exist_ok=True)
        (checkout / name).write_text("left behind")
    return checkout


@pytest.fixture(scope="module")
def built(checkout: Path, tmp_path_factory: pytest.TempPathFactory) -> Built:
    """Build both as for a package index; the wheel is then that of the sdist."""
    into = tmp_path_factory.mktemp("built")
    frontend = "build", "--no-isolation", "--outdir"
    return {of: build(checkout / of, into / name, 0o022, *frontend) for of, name in NAMES.items()}


def hashes(paths: Iterable[Path]) -> dict[str, str]:
    return {path.name: sha256(path.read_bytes()).hexdigest() for path in paths}


@EVERY_DISTRIBUTION
def test_who_builds_it_where_and_when_makes_no_difference(
    of: str, built: Built, tmp_path: Path
) -> None:
    elsewhere = copy_to(tmp_path / "elsewhere", reversed(tracked()), 0o077, 1_000_000_000)
    differently = {"TZ": "Asia/Tokyo", "PYTHONHASHSEED": "1", "LC_ALL": "C"}
    again = build(elsewhere / of, tmp_path / "built", 0o077, **differently)
    assert hashes(again) == hashes(built[of])
    name = f"{NAMES[of]}-{VERSION}"
    assert [*hashes(again)] == [f"{name}.tar.gz", f"{name}-py3-none-any.whl"]


def unpacked(sdist: Path, where: Path) -> Path:
    shutil.unpack_archive(sdist, where)
    return where / sdist.name.removesuffix(".tar.gz")


# What is in it


@EVERY_DISTRIBUTION
def test_the_sdist_has_what_git_tracks_and_the_metadata(of: str, built: Built) -> None:
    with tarfile.open(built[of][0]) as archive:
        names = archive.getnames()
    if of == "stubs":
        expected = {name.removeprefix("stubs/") for name in tracked() if name.startswith("stubs/")}
    else:
        folders = ("thunder_policy/", "stubs/", "tests/", "benchmarks/")
        expected = {name for name in tracked() if name.startswith(folders)}
        expected |= {"README.md", "LICENSE", ".ci/hatch_build.py"}
    root = f"{NAMES[of]}-{VERSION}/"
    assert sorted(names) == sorted(root + name for name in expected | ADDED)


@EVERY_DISTRIBUTION
def test_the_wheel_has_the_packages_and_the_metadata(of: str, built: Built) -> None:
    with zipfile.ZipFile(built[of][1]) as archive:
        names = archive.namelist()
        assert {info.external_attr >> 16 & 0o777 for info in archive.infolist()} == {0o644}
    metadata = {"METADATA", "WHEEL", "RECORD", "licenses/LICENSE"}
    if of == "stubs":
        folders = ("stubs/toolz-stubs/", "stubs/thunder-stubs/")
        expected = {name[len("stubs/") :] for name in tracked() if name.startswith(folders)}
        expected.add("thunder_policy_stubs.pth")
        torch_stubs = "thunder_policy_stubs/torch-stubs"
        expected |= {f"{torch_stubs}/optim/lr_scheduler.pyi", f"{torch_stubs}/py.typed"}
    else:
        expected = {name for name in tracked() if name.startswith("thunder_policy/")}
        expected.remove("thunder_policy/conformance/plugin/pytest_thunder_policy.py")
        expected.add("pytest_thunder_policy.py")  # a module of its own
        assert {"thunder_policy/py.typed", "thunder_policy/SPEC.md"} <= expected
        metadata.add("entry_points.txt")
    root = f"{NAMES[of]}-{VERSION}.dist-info/"
    assert sorted(names) == sorted(expected | {root + name for name in metadata})


def metadata_of(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith("/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def needed(metadata: Message) -> set[str]:
    """Return what is installed with it when no extra is asked for."""
    return {line for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line}


@EVERY_DISTRIBUTION
def test_both_are_of_one_version_licence_and_python(of: str, built: Built) -> None:
    metadata = metadata_of(built[of][1])
    keys = ("Version", "License-Expression", "License-File", "Requires-Python")
    assert [metadata[key] for key in keys] == [VERSION, "MIT", "LICENSE", ">=3.10"]
    assert metadata["Name"].replace("-", "_") == NAMES[of]
    assert metadata["Summary"]
    assert (ROOT / of / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_the_package_says_what_it_is_and_needs(built: Built) -> None:
    metadata = metadata_of(built["."][1])
    assert needed(metadata) == {"torch>=2.6", "toolz>=0.12"}
    extras = {"cli", "clients", "conformance", "plot", "integrations", "dev", "wild"}
    assert {*metadata.get_all("Provides-Extra", [])} == extras
    assert metadata["Description-Content-Type"] == "text/markdown"
    assert metadata.get_payload() == (ROOT / "README.md").read_text(encoding="utf-8")
    classifiers = {*metadata.get_all("Classifier", [])}
    assert {"Typing :: Typed", "Programming Language :: Python :: 3.10"} <= classifiers
    assert metadata.get_all("Project-URL", []) == []  # until somebody publishes it


def rendered(description: str) -> str:
    """Return the HTML that a package index makes of a description."""
    html = markdown.render(description)
    assert html
    return html


@EVERY_DISTRIBUTION
def test_a_package_index_would_take_it(of: str, built: Built, tmp_path: Path) -> None:
    checked = [sys.executable, "-m", "twine", "check", "--strict", *map(str, built[of])]
    done = subprocess.run(checked, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    metadata = metadata_of(built[of][1])
    assert metadata["Author"] == "The thunder_policy authors"
    assert rendered(str(metadata.get_payload()))


def test_who_publishes_it_writes_the_address_once(tmp_path: Path) -> None:
    address = "https://example.org/somebody/thunder_policy"
    source = copy_to(tmp_path / "fork", tracked(), 0o022, 1_700_000_000)
    settings = (source / "pyproject.toml").read_text(encoding="utf-8")
    assert settings.count('repository = ""') == 1
    settings = settings.replace('repository = ""', f'repository = "{address}"')
    (source / "pyproject.toml").write_text(settings, encoding="utf-8")
    metadata = metadata_of(build(source, tmp_path / "built", 0o022)[1])
    urls = dict(line.split(", ") for line in metadata.get_all("Project-URL", []))
    assert urls == {"Source": address, "Issues": f"{address}/issues"}

    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    shown = rendered(str(metadata.get_payload()))
    pictures = re.findall(r'<img [^>]*src="([^"]*)"', shown)
    assert pictures
    assert len(pictures) == len(re.findall(r"<img ", rendered(readme)))
    for kind, links in {
        "raw": pictures,
        "blob": re.findall(r'<a [^>]*href="([^"]*)"', shown),
    }.items():
        for link in links:
            # What begins with # is a heading of the description itself.
            assert link.startswith(("https://", "#")), link
            if link.startswith(address):
                path = link.removeprefix(f"{address}/{kind}/HEAD/").partition("#")[0]
                assert (ROOT / path).exists(), link
    # Of code nothing is taken for a link.
    fences = re.compile("^```.*?^```", re.MULTILINE | re.DOTALL)
    assert fences.findall(str(metadata.get_payload())) == fences.findall(readme)


def test_the_stubs_say_what_they_are_and_need(built: Built) -> None:
    metadata = metadata_of(built["stubs"][1])
    assert needed(metadata) == {"torch<2.16,>=2.6"}
    assert "Typing :: Stubs Only" in metadata.get_all("Classifier", [])


# Installed


@pytest.fixture(scope="module")
def installed(built: Built, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment with the wheel; pip finds there whatever else it needs."""
    where = environment(tmp_path_factory.mktemp("installed"), stubs=False, package=False)
    install(where, built["."][1])
    return where


def install(environment: Path, wheel: Path) -> None:
    options = "--no-index", "--no-compile", "--quiet", "--disable-pip-version-check"
    python(environment, "-m", "pip", "install", *options, str(wheel), cwd=wheel.parent)


def command(environment: Path, *arguments: str, cwd: Path) -> str:
    # Its first line names the Python of the environment.
    script = str(environment / "bin" / "thunder-policy")
    return python(environment, script, *arguments, cwd=cwd).decode()


def test_the_command_is_there_and_the_sources_are_those_of_the_checkout(
    installed: Path, tmp_path: Path
) -> None:
    assert command(installed, "version", "--hash", cwd=tmp_path).strip() == cli.source_hash()
    code = "import thunder_policy; print(thunder_policy.__version__, thunder_policy.__file__)"
    version, where = python(installed, "-c", code, cwd=tmp_path).decode().split()
    assert version == VERSION
    assert Path(where).is_relative_to(installed)


def test_the_conformance_suite_passes(installed: Path, tmp_path: Path) -> None:
    (tmp_path / "policies.py").write_text(CUSTOM)
    report = command(installed, "check", "policies:switch", "policies:InverseSqrt", cwd=tmp_path)
    assert report.count("pickle  ") == 2
    assert "failed" not in report


def test_the_stubs_leave_nothing_to_import_when_torch_is_gone(built: Built, tmp_path: Path) -> None:
    where = environment(tmp_path, stubs=False, package=False)
    install(where, built["stubs"][1])
    (site,) = where.glob("lib/python*/site-packages")
    assert (site / "toolz-stubs" / "py.typed").is_file()
    found = "import sys; print(*sys.path, sep='\\n')"
    assert str(site / "thunder_policy_stubs") in python(where, "-c", found, cwd=tmp_path).decode()
    shutil.rmtree(site / "torch")
    code = "import importlib.util; print(importlib.util.find_spec('torch'))"
    assert python(where, "-c", code, cwd=tmp_path) == b"None\n"


def test_the_tests_of_the_sdist_pass(built: Built, installed: Path, tmp_path: Path) -> None:
    source = unpacked(built["."][0], tmp_path)
    options = "-q", "-n0", "-p", "no:cacheprovider"
    python(installed, "-m", "pytest", *options, "tests/test_in_steps.py", cwd=source)
