"""What benchmarks.resume measures is what the pages say of it."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from torch.optim import lr_scheduler
from versions import IS_README_TORCH, README_TORCH

from benchmarks import resume

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PAGE = (ROOT / "benchmarks" / "README.md").read_text(encoding="utf-8")


def off(cell: str) -> float:
    return 1.0 if cell == "same" else float(cell.removesuffix(" times"))


def cells(code: str) -> list[str]:
    return resume.row(code).strip("| ").split(" | ")[1:]


@pytest.mark.parametrize("code", resume.TORCHS + resume.OURS)
def test_the_row_is_what_is_measured(code: str) -> None:
    if IS_README_TORCH or code in resume.OURS:
        assert resume.row(code) in PAGE.splitlines()


@pytest.mark.spec("T11")
@pytest.mark.parametrize("code", resume.OURS)
def test_a_policy_goes_on_where_it_was_in_every_order(code: str) -> None:
    assert cells(code) == ["same"] * len(resume.ORDERS)


def test_each_scheduler_of_torch_is_measured() -> None:
    names = [code.partition("(")[0] for code in resume.TORCHS]
    # The first is what they are made of; the last is told the loss.
    assert {*names} == {*lr_scheduler.__all__} - {"LRScheduler", "ReduceLROnPlateau"}
    assert f"Of torch {README_TORCH}:" in PAGE


@pytest.mark.skipif(not IS_README_TORCH, reason="the README speaks of another torch")
def test_the_first_sentence_of_the_readme_is_the_column_of_the_table() -> None:
    column = [*resume.ORDERS].index("built after the optimizer's was loaded")
    wrong = [found for code in resume.TORCHS if (found := off(cells(code)[column])) > 1]
    version = ".".join(README_TORCH.split(".")[:2])
    said = (
        f"{len(wrong)} of the {len(resume.TORCHS)} in torch {version} are off,"
        f" by a factor of {min(wrong):g} to {max(wrong):g}"
    )
    assert said in re.sub(r"\s+", " ", README)


def test_a_factor_counts_either_way_and_leaves_zeros_out() -> None:
    assert resume.factor([[0.1, 0.2]], [[0.1, 0.1]]) == 2
    assert resume.factor([[0.1, 0.1], [0.0, 0.1]], [[0.1, 0.4], [0.3, 0.1]]) == 4


def test_the_picture_shows_that_ours_goes_on_and_torch_s_does_not() -> None:
    torchs, ours = (
        [np.asarray(line.get_ydata()) for line in axes.lines] for axes in resume.plot().get_axes()
    )
    assert ours[1].tolist() == ours[0][-60:].tolist()
    assert torchs[1].max() < 0.02 * torchs[0].max()


def test_the_command_prints_a_table_and_draws(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr("sys.argv", ["resume"])
    resume.main()
    assert len(re.findall(r"^\| `.+\|$", capsys.readouterr().out, re.MULTILINE)) == 18
    monkeypatch.setattr("sys.argv", ["resume", "--plot"])
    monkeypatch.setattr(resume, "PICTURE", tmp_path / "resume.png")
    resume.main()
    assert (tmp_path / "resume.png").read_bytes().startswith(b"\x89PNG")
