"""A copy of thunder_policy/ inside another package works, types included, and is its own."""

from __future__ import annotations

import ast
import io
import shutil
import sys
import tokenize
from pathlib import Path

import pytest
from checkers import ROOT, complaints, environment, python

EXTRAS = "hypothesis matplotlib plotext rich"

TRAIN = '''
"""A training loop with policies of the vendored copy."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from acme._vendor.thunder_policy import EpochMapping, Policy, Schedule, Switch, simulate
from acme._vendor.thunder_policy.schedules import Cosine, warmup


class Halve(Policy):
    """Halves the lrs every so many epochs."""

    def __init__(self, epochs: int) -> None:
        self.epochs = epochs

    def get_lr(self) -> list[float | Tensor]:
        return [lr * 0.5 ** (self.last_epoch // self.epochs) for lr in self.base_lrs]


STEPS: EpochMapping = {0: 0.1, 2: 0.01}


def policies() -> list[Policy]:
    return [Switch(STEPS), Schedule(warmup(2, Cosine(0.1, 0.0, epochs=4))), Halve(2)]


def sgd(model: nn.Module) -> Optimizer:
    return torch.optim.SGD(model.parameters(), lr=0.1)


def train(policy: Policy, epochs: int = 6) -> list[float]:
    model = nn.Linear(4, 1)
    optimizer = sgd(model)
    scheduler = policy(optimizer)
    lrs: list[float] = []
    for _ in range(epochs):
        lrs += [float(group["lr"]) for group in optimizer.param_groups]
        optimizer.zero_grad()
        loss: Tensor = model(torch.ones(8, 4)).square().mean()
        torch.autograd.backward(loss)
        optimizer.step()
        scheduler.step()
    return lrs


if __name__ == "__main__":
    for policy in policies():
        planned: Tensor = simulate(policy, 6, lr=0.1)
        assert torch.equal(torch.tensor(train(policy), dtype=planned.dtype), planned[:, 0])
'''

PICKLING = """
import pickle
import sys

from acme.train import policies, train

if sys.argv[1] == "save":
    pickle.dump([(policy, train(policy)) for policy in policies()], sys.stdout.buffer)
else:
    for policy, lrs in pickle.load(sys.stdin.buffer):
        assert type(policy).__module__.startswith("acme."), type(policy)
        assert policy.last_epoch == 6
        before = [group["lr"] for group in policy.optimizer.param_groups]
        policy.optimizer.step()
        policy.step()
        assert policy.last_epoch == 7
        assert train(policy) == lrs
    assert "thunder_policy" not in sys.modules
"""

CONFORMANCE = """
from acme._vendor.thunder_policy.conformance import Subject, check_policy
from acme.train import Halve, Switch

check_policy(Subject(lambda: Halve(2), epochs=4))
check_policy(Subject(lambda: Switch({0: 0.1, 2: 0.01}), epochs=4))
"""

TWO_COPIES = """
import sys
import warnings

import torch

from acme._vendor import thunder_policy as theirs
import thunder_policy as ours

warnings.simplefilter("error")

assert theirs.Policy is not ours.Policy
assert theirs.__file__ != ours.__file__
parameters = [torch.nn.Parameter(torch.ones(1))]
optimizer = torch.optim.SGD(parameters, lr=0.1)
other = torch.optim.SGD(parameters, lr=0.1)
mine = ours.Multiply({1: 0.5, 2: 0.5}, lr_init=0.8)(optimizer)
yours = theirs.Multiply({1: 0.1}, lr_init=0.8)(other)
assert not isinstance(mine, theirs.Policy)
for _ in range(2):
    optimizer.step(), mine.step(), other.step(), yours.step()
assert mine.get_last_lr() == [0.2] and yours.get_last_lr() == [0.8 * 0.1]

# What one saved, the other loads; and each binds to the optimizer of the other.
yours.load_state_dict({k: v for k, v in mine.state_dict().items() if k != "mapping"})
assert yours.get_last_lr() == [0.2]
assert theirs.Switch({0: 0.3}, lr_init=None)(optimizer).get_last_lr() == [0.3]
assert mine.base_lrs == [0.8]

# Each scheduler of torch takes both.
mixed = [ours.Switch({0: 0.1})(optimizer), theirs.Switch({0: 0.2})(optimizer)]
scheduler = torch.optim.lr_scheduler.SequentialLR(optimizer, mixed, [1])
optimizer.step()
scheduler.step()
assert scheduler.get_last_lr() == [0.2]

for copy in (ours, theirs):
    try:
        copy.simulate({0: 0.1}, 3)
    except TypeError as error:
        assert "takes a policy" in str(error)
"""


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Vendor the package as the README says."""
    project = tmp_path_factory.mktemp("project")
    vendor = project / "acme" / "_vendor"
    ignore = shutil.ignore_patterns("__pycache__")
    shutil.copytree(ROOT / "thunder_policy", vendor / "thunder_policy", ignore=ignore)
    shutil.copy(ROOT / "LICENSE", vendor / "thunder_policy")
    for package in (project / "acme", vendor):
        (package / "__init__.py").touch()
    (project / "acme" / "py.typed").touch()
    (project / "acme" / "train.py").write_text(TRAIN)
    return project


@pytest.fixture(scope="module")
def complete(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that lacks thunder_policy alone."""
    return environment(tmp_path_factory.mktemp("complete"), stubs=False, package=False)


@pytest.fixture(scope="module")
def bare(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return an environment that lacks the extras too."""
    where = tmp_path_factory.mktemp("bare")
    return environment(where, stubs=False, package=False, without=EXTRAS)


@pytest.fixture(scope="module")
def saved(project: Path, bare: Path) -> bytes:
    """Train, and pickle the policies, bound."""
    return python(bare, "-W", "error", "-c", PICKLING, "save", cwd=project)


@pytest.mark.spec("K1", "K2")
def test_it_pickles_from_one_process_to_another(project: Path, bare: Path, saved: bytes) -> None:
    python(bare, "-W", "error", "-c", PICKLING, "load", cwd=project, stdin=saved)


# What a vendor may leave out, who has the package run its suite and command elsewhere.
NOT_NEEDED = ("conformance", "__main__.py", "cli.py")
LINES_LEFT = 4950


@pytest.mark.spec("K1", "K2")
def test_the_suite_and_the_command_may_be_left_out(
    project: Path, bare: Path, saved: bytes, tmp_path: Path
) -> None:
    less = shutil.copytree(project, tmp_path / "less", ignore=shutil.ignore_patterns(*NOT_NEEDED))
    vendored = less / "acme" / "_vendor" / "thunder_policy"
    assert not any((vendored / name).exists() for name in NOT_NEEDED)
    python(bare, "-W", "error", "-m", "acme.train", cwd=less)
    # Every module that is left can be imported, and imports of those alone, however late.
    left = {path.stem: path.read_text(encoding="utf-8") for path in vendored.glob("*.py")}
    code = "; ".join(f"import acme._vendor.thunder_policy.{name}" for name in left)
    python(bare, "-W", "error", "-c", f"{code}\n{PICKLING}", "load", cwd=less, stdin=saved)
    imported = {
        node.module or alias.name
        for source in left.values()
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.ImportFrom) and node.level
        for alias in node.names
    }
    assert imported <= {*left}
    lines = sum(len(source.splitlines()) for source in left.values())
    print(f"{len(left)} modules, {lines:,} lines")
    assert lines <= LINES_LEFT


def test_its_conformance_suite_passes(project: Path, complete: Path) -> None:
    python(complete, "-c", CONFORMANCE, cwd=project)


def test_what_needs_an_extra_says_so(project: Path, bare: Path) -> None:
    code = """
from acme._vendor.thunder_policy import Switch, plot

try:
    plot(Switch({0: 0.1}), 3)
except ImportError as error:
    print(error)
try:
    import acme._vendor.thunder_policy.conformance
except ImportError as error:
    print(error)
"""
    first, second = python(bare, "-c", code, cwd=project).decode().splitlines()
    assert first.startswith("plot needs Matplotlib: pip install")
    assert "needs Hypothesis: pip install" in second


@pytest.mark.spec("T25", "X1")
def test_two_copies_in_one_process_do_not_disturb_each_other(project: Path, complete: Path) -> None:
    python(complete, "-c", TWO_COPIES, cwd=project, path=str(ROOT))


def test_all_of_it_checks_strictly_and_the_project_s_own_code_without_the_extras(
    project: Path, tmp_path: Path
) -> None:
    used = environment(tmp_path / "env", stubs=False, package=False)
    assert mypy(used, project, tmp_path) == ""
    assert pyright(used, project) == ""
    (site,) = used.glob("lib/python*/site-packages")
    for name in EXTRAS.split():
        (site / name).unlink()
    module = "[mypy-acme._vendor.*]\nignore_errors = true\n"
    assert mypy(used, project, tmp_path, module) == ""
    assert pyright(used, project, ', "ignore": ["acme/_vendor"]') == ""


def mypy(environment: Path, project: Path, config: Path, more: str = "") -> str:
    (config / "mypy.ini").write_text(f"[mypy]\nstrict = true\n{more}")
    python = f"--python-executable={environment / 'bin' / 'python'}"
    options = f"--config-file={config / 'mypy.ini'}", f"--cache-dir={config}", python
    return complaints("mypy", *options, "acme", cwd=project)


def pyright(environment: Path, project: Path, more: str = "") -> str:
    (project / "pyrightconfig.json").write_text(f'{{"typeCheckingMode": "strict"{more}}}')
    python = f"--pythonpath={environment / 'bin' / 'python'}"
    return complaints("pyright", python, cwd=project)


# What a freezer takes along


def imported(module: Path) -> set[Path]:
    """Return the modules of the package that one imports by a statement, wherever that stands."""
    found = set()
    for node in ast.walk(ast.parse(module.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            package = module.parents[node.level - 1].joinpath(*(node.module or "").split("."))
            places = [package, *(package / alias.name for alias in node.names)]
            found |= {place.with_suffix(".py") for place in places}
            # The package of a module is imported before it.
            found |= {place / "__init__.py" for place in (*places, package.parent)}
    return {path for path in found if path.is_file()}


def test_every_module_is_imported_by_a_statement_that_a_freezer_sees() -> None:
    package = ROOT / "thunder_policy"
    # The roots are what somebody imports, or runs, by its own name.
    roots = {package / f"{name}.py" for name in ("__init__", "__main__", "bound")}
    seen, new = set[Path](), roots
    while new:
        seen |= new
        new = {path for module in new for path in imported(module)} - seen
    plugin = package / "conformance" / "plugin" / "pytest_thunder_policy.py"
    assert seen == {*package.rglob("*.py")} - {plugin}


# The core

CORE_LINES, CORE_CODE = 2400, 1455
LONGEST_FUNCTION = 40
# What `import thunder_policy` executes too, and no policy needs.
NOT_CORE = {"schedules", "simulate", "drawing", "configs", "plateau"}

EXECUTED = """
import sys

from thunder_policy import Switch

for name, module in sys.modules.items():
    if name.startswith("thunder_policy"):
        print(module.__file__)
"""


def core() -> list[Path]:
    """Return the modules that ``from thunder_policy import Switch`` executes."""
    printed = python(Path(sys.prefix), "-c", EXECUTED, cwd=ROOT, path=str(ROOT)).decode()
    return [path for path in map(Path, printed.splitlines()) if path.stem not in NOT_CORE]


def code(source: str) -> set[int]:
    """Return the numbers of the lines that are not blank, nor of comments or docstrings only."""
    empty = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT}
    lines: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type not in empty | {tokenize.ENDMARKER}:
            lines |= {*range(token.start[0], token.end[0] + 1)}
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.Expr(value=ast.Constant(value=str())):
                lines -= {*range(node.lineno, (node.end_lineno or 0) + 1)}
            case _:
                pass
    return lines


def test_the_core_is_read_in_one_sitting() -> None:
    sources = {path.stem: path.read_text(encoding="utf-8") for path in core()}
    lines = sum(len(source.splitlines()) for source in sources.values())
    of_code = sum(len(code(source)) for source in sources.values())
    print(f"{len(sources)} modules, {lines:,} lines, {of_code:,} of code: {', '.join(sources)}")
    assert {"policy", "mapping", "groups", "state"} <= {*sources}
    assert lines <= CORE_LINES
    assert of_code <= CORE_CODE


def test_no_function_of_the_core_is_long() -> None:
    lengths = {
        f"{path.stem}.{node.name}": (node.end_lineno or 0) - node.lineno + 1
        for path in core()
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    }
    assert len(lengths) > 50
    assert {name: n for name, n in lengths.items() if n > LONGEST_FUNCTION} == {}


def test_lines_of_code_are_counted_without_blanks_comments_and_docstrings() -> None:
    source = (
        '"""A\ndocstring."""\n\nX = """\ntext"""\n"""Of X."""\ny = [  # this\n    1,\n]\n# that\n'
    )
    assert code(source) == {4, 5, 7, 8, 9}
