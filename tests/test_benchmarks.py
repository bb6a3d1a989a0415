"""The benchmarks of a step run, and compare like with like; no time is asserted."""

from __future__ import annotations

import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.utils.benchmark import Measurement
from torch.utils.benchmark.utils.common import TaskSpec

from benchmarks.__main__ import PICTURE, main
from benchmarks.overhead import GOALS, GROUPS, OPTIMIZERS, PAIRS, Case, Result, cases, schedule
from benchmarks.report import environment, markdown

README = (Path(__file__).parents[1] / "benchmarks" / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def quick(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Run the quick form once, and return the folder in which it has written."""
    folder = tmp_path_factory.mktemp("benchmarks")
    arguments = ["--json", str(folder / "all.json"), "--plot", str(folder / "all.png")]
    assert main(["--quick", *arguments]) == 0
    return folder


def results(folder: Path) -> list[dict[str, Any]]:
    written = json.loads((folder / "all.json").read_text())
    assert set(written) == {"environment", "results"}
    found: list[dict[str, Any]] = written["results"]
    return found


def test_each_case_has_both_times_and_their_ratio(quick: Path) -> None:
    found = results(quick)
    assert len(found) == len([*cases(quick=True)])
    for result in found:
        ours, torchs = result["ours"], result["torchs"]
        assert ours["median"] > 0
        assert torchs["median"] > 0
        assert ours["iqr"] >= 0
        assert result["ratio"] > 0
        assert ours["blocks"] == torchs["blocks"] >= 3


def test_noise_that_comes_and_goes_leaves_the_ratio_alone() -> None:
    # Each half of a pair is as slow as the other, while the medians fall on either side of a jump.
    fast, slow = [(1e-6, 2e-6)] * 5, [(3e-6, 6e-6)] * 4
    ours, torchs = (
        Measurement(1, [*times], TaskSpec("step()", "pass")) for times in zip(*fast, *slow)
    )
    case = Case("Schedule, a list", "float", 1)
    assert Result(case, ours, torchs, ours).ratio == 0.5
    ours.raw_times[4] = 3.1e-6
    uneven = Measurement(1, ours.raw_times, ours.task_spec)
    assert uneven.median / torchs.median > 1
    assert Result(case, uneven, torchs, ours).ratio == 0.5


def test_an_optimizer_that_cannot_step_here_says_so(quick: Path) -> None:
    for result in results(quick):
        refused = result["optimizer"] == "Adam(capturable)" and result["device"] == "cpu"
        assert (result["shares"] is None) is refused
        if refused:
            assert "capturable" in result["optimizer_step"]


def test_what_was_not_measured_is_not_stated(quick: Path) -> None:
    has_cuda = torch.cuda.is_available()
    assert {result["device"] for result in results(quick)} == {"cpu", *["cuda"] * has_cuda}
    environment = json.loads((quick / "all.json").read_text())["environment"]
    assert (environment["cuda"] is not None) is has_cuda
    assert environment["torch"] == torch.__version__
    assert environment["command"].startswith("python -m benchmarks --quick")


def test_the_picture_is_drawn(quick: Path) -> None:
    assert (quick / "all.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_has_a_row_a_case(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick"]) == 0
    shown = capsys.readouterr().out
    for policy, pair in PAIRS.items():
        assert re.search(rf"{policy} +{pair.against} +float +SGD +1 ", shown), policy
    if not torch.cuda.is_available():
        assert "CUDA: torch finds no device here, so nothing of it was measured." in shown


def test_the_readme_has_the_table_that_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--quick", "--readme"]) == 0
    printed = capsys.readouterr().out
    head = re.compile(r"^\| policy \| against .+\n.+$", re.MULTILINE)
    row = re.compile(r"^(\| [^|]+ \| `\w+` \|) [\d.]* \|", re.MULTILINE)
    head_of_shares = re.compile(r"^\| share of `optimizer.step\(\)`.+\n.+$", re.MULTILINE)
    share = re.compile(r"^\| [^|]+, (?:float|tensor) lr(?: \| [\d.]+%)+ \|$", re.MULTILINE)
    assert head.findall(printed) == head.findall(README) != []
    tables = 1 + torch.cuda.is_available()
    assert row.findall(printed)[: len(PAIRS)] == row.findall(README)[: len(PAIRS)]
    assert len(row.findall(printed)) == tables * len(PAIRS)
    assert head_of_shares.findall(printed) == head_of_shares.findall(README) != []
    assert len(share.findall(printed)) == len(share.findall(README)) == 4
    assert f"]({PICTURE.relative_to(PICTURE.parents[1]).as_posix()})" in README


def test_the_readme_has_the_table_of_a_gpu_as_it_is_printed_where_there_is_one() -> None:
    """Of made-up times: no GPU is needed."""
    made_up = [
        Case(policy, lr, n, optimizer, device=device)
        for device, optimizer in (("cpu", "SGD"), ("cuda", "Adam(capturable)"))
        for policy in PAIRS
        for lr in ("float", "tensor")[device == "cuda" :]
        for n in GROUPS
    ]
    one, two = (Measurement(1, [seconds] * 3, TaskSpec("step()", "pass")) for seconds in (1.0, 2.0))
    found = [Result(case, one, two, two) for case in made_up]
    printed = markdown(found, environment("made up"))
    table = re.compile(r"^\| on CUDA \| .+(?:\n\|.+)+", re.MULTILINE)
    (shown,) = table.findall(printed)
    (of_the_readme,) = table.findall(README)
    number = re.compile(r" \d+\.\d+ ")
    assert number.findall(shown) == [" 0.500 "] * len(PAIRS) * len(GROUPS)
    # That of the README was measured with an earlier version, which had fewer policies.
    missing = "| Scale, one function | `LambdaLR` | | | | |"
    rows = [row for row in number.sub(" ", shown).splitlines() if row != missing]
    assert rows == number.sub(" ", of_the_readme).splitlines()


def test_everything_has_every_kind_of_case() -> None:
    everything = [*cases()]
    assert len({*everything}) == len(everything)
    assert {case.groups for case in everything} == {1, 10, 100, 1000}
    assert {case.lr for case in everything} == {"float", "tensor"}
    assert {case.optimizer for case in everything} == set(OPTIMIZERS)
    assert {case.milestones for case in everything} >= {2, 1_000_000}
    with_goals = {(case.policy, case.lr, case.groups) for case in everything if case.goal}
    assert with_goals == {(*key, n) for key in GOALS for n in GROUPS[:3]}


@pytest.mark.parametrize("lr", ["float", "tensor"])
@pytest.mark.parametrize("policy", PAIRS)
def test_the_two_of_a_pair_do_the_same_work(policy: str, lr: str) -> None:
    # Not the same lrs: Switch has values and MultiStepLR factors. But both change, or neither.
    def trajectory(index: int) -> list[list[float]]:
        case = Case(policy, lr, groups=3)
        optimizer = case.make_optimizer()
        scheduler = (case.pair.ours, case.pair.torchs)[index](3, 2)(optimizer)
        seen = []
        for _ in range(5):
            optimizer.step()
            scheduler.step()
            seen.append([float(group["lr"]) for group in optimizer.param_groups])
            assert all(
                isinstance(group["lr"], float) == (lr == "float")
                for group in optimizer.param_groups
            )
        return seen

    ours, torchs = trajectory(0), trajectory(1)
    changes = [[before != after for before, after in pairwise(lrs)] for lrs in (ours, torchs)]
    assert changes[0] == changes[1]
    moves = "between" not in policy and "own" not in policy
    assert changes[0] == [moves] * 4
    if policy.startswith("Schedule"):
        assert ours[-1][0] == pytest.approx(schedule(5))
        assert torchs[-1][0] == pytest.approx(0.1 * schedule(5))
