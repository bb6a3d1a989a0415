"""The command: expressions that are never run, output for people, programs and pipes."""

from __future__ import annotations

import io
import json
import os
import py_compile
import re
import runpy
import shlex
import shutil
import subprocess
import sys
import types
import zipfile
from contextlib import redirect_stderr, redirect_stdout, suppress
from pathlib import Path
from typing import Any

import pytest
from hostile import soon
from hypothesis import assume, given
from hypothesis import strategies as st
from matplotlib.figure import Figure
from pace import seconds
from schedule_helpers import anything
from test_schedules import BY_HAND

import thunder_policy
from thunder_policy import Multiply, Policy, Scale, Schedule, Switch, cli, schedules, simulate
from thunder_policy.cli import main
from thunder_policy.expression import ExpressionError, load
from thunder_policy.schedules import Cosine, ScheduleFunction

ROOT = Path(__file__).parents[1]
HEADINGS = ["--help", "preview --help", "check --help", "version --help"]


def shell(
    *arguments: str, cwd: Path = ROOT, package: str = "thunder_policy", **environment: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", package, *arguments],
        capture_output=True,
        encoding="utf-8",
        cwd=cwd,
        env={**os.environ, "PYTHONPATH": str(cwd), **environment},
        check=False,
    )


def printed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[str]:
    assert main(arguments) == 0
    output = capsys.readouterr()
    assert output.err == ""
    return output.out.splitlines()


def table(lines: list[str]) -> list[list[str]]:
    """Return the cells of the table under a drawing, the heading first."""
    begin = next(i for i, line in enumerate(lines) if "milestone " in line)
    rows = [re.split(r" {2,}", line.strip()) for line in lines[begin:] if line.strip()]
    return [row for row in rows if not row[0].startswith("──")]


# Expressions that are policies


@pytest.mark.parametrize(
    ("text", "policy"),
    [
        ("Switch({0: 1e-3, 30: 1e-4})", Switch({0: 1e-3, 30: 1e-4})),
        ("  Switch ( {0: .5} , lr_init = None )  ", Switch({0: 0.5}, lr_init=None)),
        ("Switch(\n  {0: 1e-3,\n   30: 1e-4}\n)", Switch({0: 1e-3, 30: 1e-4})),
        ("Switch([{0: 1}, {0: 2}])", Switch([{0: 1}, {0: 2}])),
        ("Switch(({0: 1}, {0: 2}), [1, 2])", Switch([{0: 1}, {0: 2}], [1, 2])),
        ("Multiply({+2**3 - 1: -0.5 * -1 / 2 % 7 // .01})", Multiply({7: 24.0})),
        ("Schedule(Cosine(0.1, 0, epochs=10**3))", Schedule(Cosine(0.1, 0, 1000))),
        ("Cosine(1e-1, 0, 9)", Schedule(Cosine(0.1, 0, 9))),
        ("Scale([Cosine(1, 0, 9), None])", Scale([Cosine(1.0, 0.0, 9), None])),
        ("Scale(Cosine(1, 0, 9), 0.1, on_load='override')", None),
        ("Switch({0: .9}, option='momentum')", Switch({0: 0.9}, option="momentum")),
        ("[Cosine(0.1, 0, 9), None]", Schedule([Cosine(0.1, 0.0, 9), None])),
        ("[Cosine(0.1, 0, 9), 2 * Constant(1)]", None),
        ("(Constant(1), Constant(2))", None),
        ("OneCycle(1, 9, anneal='linear', three_phase=True)", None),
        ("warmup(5, Cosine(1, 0, 9) * Step(1, 3) * 0.5).in_steps(10)", None),
        ("Constant(0.1).then(Linear(0.1, 0, 2), at=3)", None),
    ],
)
def test_an_expression_is_what_python_makes_of_it(text: str, policy: Policy | None) -> None:
    value = eval(text.strip(), {**vars(schedules), **vars(thunder_policy)})
    expected = value if isinstance(value, Policy) else Schedule(value)
    assert policy is None or repr(policy) == repr(expected)
    assert repr(load(text)) == repr(expected)


@given(schedule=anything)
def test_every_schedule_is_read_back_from_its_repr(schedule: ScheduleFunction) -> None:
    assert load(repr(schedule)).mapping == schedule


numbers = st.integers(-9, 9) | st.floats(-9, 9)
operators = st.sampled_from(["+", "-", "*", "/", "//", "%"])
arithmetic = st.recursive(
    numbers.map(repr),
    lambda part: st.one_of(
        st.builds("({} {} {})".format, part, operators, part),
        st.builds("-{}".format, part),
        st.builds("({})**{}".format, part, st.integers(0, 3)),
    ),
    max_leaves=8,
)


@given(arithmetic)
def test_arithmetic_is_that_of_python(text: str) -> None:
    try:
        expected = abs(float(eval(text)))
    except (ZeroDivisionError, OverflowError):
        with pytest.raises(ExpressionError):
            load(f"Constant({text})")
        return
    try:
        policy: Any = load(f"Constant((({text})**2)**0.5)")
    except ExpressionError as error:
        assume("too large" not in str(error))  # a number on the way was, whatever came of it
        raise
    assert policy.lr_at(0) == pytest.approx([expected])


# Expressions that are not


ALLOWED = "only policies, schedules, numbers, strings, lists and dicts are allowed; see "
KNOWN = (
    "; known are Constant, Cosine, CosineRestarts, Exponential, Geometric, InSteps, InverseSqrt, "
    "InverseTime, Linear, MultiStep, Multiply, OneCycle, OneMinusPower, Piecewise, Plateau, "
    "Polynomial, Power, Product, REX, Scale, Schedule, Step, Switch, Then, Triangular, WSD, warmup"
)
# A text, and the column of its fault with all that is said of it; or None, and of which type it is.
# After "... " stands a part of what Python says in words of its own.
BAD: list[tuple[str, int | None, str]] = [
    ("", 1, "there is no policy"),
    ("   ", 1, "there is no policy"),
    ("Switch({0: 1}", 7, "... never closed"),
    ("Switch({0: 1}))", 15, "... unmatched"),
    ("Switch({0 1})", 9, "... invalid syntax"),
    ("1 +", 4, "... invalid syntax"),
    ("Switch({0: x})", 12, f"unknown name x{KNOWN}"),
    ("Schedule(Switch)", 10, "Switch needs its arguments: Switch(...)"),
    ("Schedule(ScheduleFunction())", 10, f"unknown name ScheduleFunction{KNOWN}"[:297] + "..."),
    ("__import__('os').system('touch x')", 1, "unknown method system; known are then, in_steps"),
    ("Switch({0: __import__('os')})", 12, f"unknown name __import__{KNOWN}"),
    ("Switch({0: 1}).__class__", 1, ALLOWED + "'Switch({0: 1}).__class__'"),
    ("  Switch({0: 1}).mapping", 3, ALLOWED + "'Switch({0: 1}).mapping'"),
    ("Switch({0: 1}).state_dict()", 1, "unknown method state_dict; known are then, in_steps"),
    ("Switch({0: 1}).then(1)", 1, "Switch has no then"),
    ("'a'.then(1)", 1, "str has no then"),
    ("(lambda: 1)()", 2, ALLOWED + "'lambda: 1)()'"),
    (
        "lambda: 1234567890123456789012345678901234",
        1,
        ALLOWED + "'lambda: 12345678901234567890123456789012'",
    ),
    (
        "lambda: 12345678901234567890123456789   + 1",
        1,
        ALLOWED + "'lambda: 12345678901234567890123456789'",
    ),
    ("1(2)", 1, "only policies and schedules can be called"),
    ("[x for x in 'ab']", 1, ALLOWED + "\"[x for x in 'ab']\""),
    ("f'{1}'", 1, ALLOWED + "\"f'{1}'\""),
    ("Switch({0: 1} if 1 else 2)", 8, ALLOWED + "'{0: 1} if 1 else 2)'"),
    ("Switch({0: 1 << 9})", 12, ALLOWED + "'1 << 9})'"),
    ("Switch({0: (x := 1)})", 13, ALLOWED + "'x := 1)})'"),
    ("{1, 2}", 1, ALLOWED + "'{1, 2}'"),
    ("Switch({0: ...})", 12, ALLOWED + "'...})'"),
    ("Switch({0: b'1'})", 12, ALLOWED + "\"b'1'})\""),
    ("Switch({0: 1j})", 12, ALLOWED + "'1j})'"),
    ("Switch({0: not 1})", 12, ALLOWED + "'not 1})'"),
    ("Switch({0: ~1})", 12, ALLOWED + "'~1})'"),
    ("Switch({**{0: 1}})", 11, "** is not allowed"),
    ("Switch(**{'mapping': 1})", 10, "** is not allowed"),
    ("Switch(*[1])", 8, "* is not allowed"),
    ("Switch([*[1]])", 9, ALLOWED + "'*[1]])'"),
    ("Switch({0: 1, 0: 2})", 15, "epoch 0 is given twice"),
    ("Switch({'a': 1})", 9, "this must be a real number, not 'a'"),
    ("Switch({0: 1 + 'a'})", 16, "this must be a real number, not 'a'"),
    ("Switch({0: -True})", 13, "this must be a real number, not True"),
    ("Constant(1) + 1", 1, "this must be a real number, not Constant(value=1.0)"),
    ("Constant(1) * 'a'", 15, "this must be a real number, not 'a'"),
    ("'a' * Constant(1)", 1, "this must be a real number, not 'a'"),
    ("2 ** Constant(1)", 6, "this must be a real number, not Constant(value=1.0)"),
    ("Constant(1) * -1", 1, "Constant: value must be at least 0, not -1"),
    ("Switch({0: (-1) ** 0.5})", 12, "this must be a real number, not (6.123233995736766e-17+1j)"),
    ("Switch({0: 1 / 0})", 12, "division by zero"),
    ("Switch({0: 1e999})", 12, "a number here is too large"),
    ("Switch({0: 9**9**9})", 12, "a number here is too large"),
    ("Switch({0: 2.0**99999})", 12, "a number here is too large"),
    ("Switch({10**19: 1})", 9, "a number here is too large"),
    ("Switch({0: -1})", 1, "Switch: mapping: the value at epoch 0 must be at least 0, not -1"),
    ("Switch({0.5: 1})", 1, "Switch: mapping: the epoch must be an integer, not 0.5 (float)"),
    ("Cosine(0.1)", 1, "Cosine: missing a required argument: 'end'"),
    ("Cosine(0.1).then()", 1, "Cosine: missing a required argument: 'end'"),
    ("Constant(0.1).then(1)", 1, "then: missing a required argument: 'at'"),
    ("[Switch({0: 1}, start=1)]", 2, "Switch: got an unexpected keyword argument 'start'"),
    ("x" * 3000, 1, "unknown name " + "x" * 284 + "..."),
    ("Schedule(Cosine(0.1, 0, 0))", 10, "Cosine: epochs must be above 0, not 0"),
    ("{'a': Constant(1), 'a': Constant(2)}", 20, "epoch 'a' is given twice"),
    ("{'a': Constant(1), 'b': 2}", 20, "this must be a real number, not 'b'"),
    ("{'a': {'b': Constant(1)}}", None, "dict"),
    ("{0: Constant(1), 30: Constant(2)}", None, "dict"),
    ("[[Switch({0: 1})]]", None, "list"),
    ("Switch({0: é})", 12, f"unknown name é{KNOWN}"),
    ("Scale.by_name({'été': 1})", 16, "this must be a real number, not 'été'"),
    ("{'été': Constant(1), 'été': 1}", 22, "this must be a real number, not 'été'"),
    ("('été', [}", 10, "... closing parenthesis '}' does not match"),
    ("Switch({0: 1\0})", 13, r"'\x00' is no printable character"),
    ("Switch({0: '\ud800'})", 13, r"'\ud800' is no printable character"),
    ("{0: 0.1}", None, "dict"),
    ("[]", None, "list"),
    ("[Constant(1), 2]", None, "list"),
    ("[None]", None, "list"),
    ("None", None, "NoneType"),
    (
        "Schedule(None)",
        1,
        "Schedule: mapping must be a callable from epoch to number, or a sequence with one a param "
        "group, not None (NoneType)",
    ),
    (
        "Scale({0: 1})",
        1,
        "Scale: mapping must be a callable from epoch to number, or a sequence with one a param "
        "group, not {0: 1} (dict): use Switch or Multiply for a mapping",
    ),
    ("Switch({0: 1}, option=1)", 1, "Switch: option must be a string, not 1"),
    (
        "Switch({0: 1}, on_load='new')",
        1,
        "Switch: on_load must be 'restore' or 'override', not 'new'",
    ),
    ("'Switch'", None, "str"),
]


@pytest.mark.spec("C3", "C5", "C9", "O1")
@pytest.mark.parametrize(("text", "column", "message"), BAD)
def test_anything_else_is_one_line_with_the_position_of_the_fault(
    text: str, column: int | None, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ExpressionError) as caught:
        load(text)
    said = str(caught.value)
    if column is None:
        assert said == (
            f"{text!r} is no policy and no schedule, but of type {message}; "
            "write Switch({0: 1e-3, 30: 1e-4}), for example"
        )
    elif message.startswith("... "):
        assert said.startswith(f"column {column}: ")
        assert message[4:] in said
    else:
        assert said == f"column {column}: {message}"

    assert main(["preview", text]) == 2
    output = capsys.readouterr()
    assert output.out == ""
    assert output.err.endswith(f"error: {said}\n")
    assert output.err.count("\n") == 1


@pytest.mark.parametrize(
    "text",
    [
        "(" * 90_000,
        "[" * 150 + "]" * 150,
        "[" * 2000,
        "-" * 3999 + "1",
        "-" * 99_999 + "1",
        "not " * 20_000 + "1",
        "1+" * 1999 + "1",
        "1+" * 40_000 + "1",
        "1<" * 40_000 + "1",
        "2**" * 1300 + "2",
        "lambda:" * 500 + "1",
        "a." * 40_000 + "a",
        "f(" * 90 + ")" * 90,
        "f" + "()" * 40_000,
        "{0:" * 90 + "1" + "}" * 90,
        "Constant(1)" + ".in_steps(1)" * 400,
        "9" * 4200,
        "9" * 99_999,
        "1" * 3990 + "**9",
        "9**99",
        "3**10**8",
        "0x" + "f" * 90_000,
        "Constant(" + "9" * 3000 + ")",
        "Constant(1e308 * 10)",
        "Switch({0: 10**18 * 10**18})",
    ],
    ids=lambda text: text[:12],
)
def test_huge_numbers_and_deep_nesting_end_at_once(text: str) -> None:
    def refused() -> None:
        with soon(), pytest.raises(ExpressionError, match=r"^(column \d+: )?.{1,300}$"):
            load(text)

    assert seconds(refused, times=1) < 1


def test_nothing_is_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for text in (
        "__import__('pathlib').Path('x').touch()",
        'exec(\'open("x", "w")\')',
        "Schedule([open('x', 'w') for _ in [1]])",
        "Switch({0: (lambda: open('x', 'w'))()})",
    ):
        assert main(["preview", text]) == 2
    assert [*tmp_path.iterdir()] == []


# Names to import


@pytest.fixture
def module(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A package in the working directory that no path leads to."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    package = f"package_of_{tmp_path.name}"
    (tmp_path / package).mkdir()
    (tmp_path / package / "train.py").write_text(
        "import thunder_policy as tp\n"
        "from thunder_policy.schedules import Cosine\n"
        "policy = tp.Switch({0: 0.5, 2: 0.25})\n"
        "schedule = Cosine(0.1, 0, 9)\n"
        "groups = [schedule, 0.5 * schedule]\n"
        "class Config:\n"
        "    policy = policy\n"
        "def fails(epoch):\n"
        "    if epoch == 3:\n"
        "        raise RuntimeError('no\\nlr')\n"
        "    return 0.1\n"
        "failing = tp.Schedule(fails)\n"
        "import torch\n"
        "optimizer = torch.optim.SGD([torch.zeros(1)], lr=0.5)\n"
        "of_torch = torch.optim.lr_scheduler.StepLR(optimizer, 1, 0.5)\n"
        "leaving = tp.Schedule(lambda epoch: exit(0))\n"
    )
    (tmp_path / package / "broken.py").write_text("raise OSError('no\\ndata')")
    (tmp_path / package / "leaves.py").write_text("raise SystemExit('bye')")
    return package


def test_a_policy_can_be_imported(module: str) -> None:
    for _ in range(2):
        assert load(f"{module}.train:policy").lr_at(2) == [0.25]
    assert load(f" {module}.train:Config.policy ") is load(f"{module}.train:policy")
    assert load(f"{module}.train:schedule").mapping == Cosine(0.1, 0, 9)
    assert load(f"{module}.train:groups").lr_at(0) == [0.1, 0.05]


def test_a_scheduler_of_torch_is_drawn_too(module: str, capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "preview", f"{module}.train:of_torch", "--epochs", "3", "--csv")
    assert lines == ["epoch,group_0", "0,0.5", "1,0.25", "2,0.125"]


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("{}.train:nothing", "there is no nothing in "),
        ("{}.nowhere:policy", "ModuleNotFoundError: No module named"),
        ("{}.broken:policy", "OSError: no data"),
        ("{}.leaves:policy", "SystemExit: bye"),
        ("{}.train:fails", "is no policy and no schedule, but of type function"),
    ],
)
def test_what_cannot_be_imported_is_one_line(
    module: str, target: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", target.format(module)]) == 2
    said = capsys.readouterr().err
    assert message in said
    assert said.count("\n") == 1


def test_a_policy_can_be_taken_from_a_file(tmp_path: Path) -> None:
    file = tmp_path / "a folder: mine" / "plan-b.py"
    file.parent.mkdir()
    file.write_text("from thunder_policy import Switch\nclass Config:\n    lr = Switch({0: 0.5})\n")
    assert load(f"{file}:Config.lr").lr_at(0) == [0.5]
    with pytest.raises(ExpressionError, match=r"there is no Config\.wd in .*plan-b\.py"):
        load(f"{file}:Config.wd")
    with pytest.raises(ExpressionError, match=r"FileNotFoundError: no file nowhere\.py"):
        load("nowhere.py:policy")


def test_a_policy_that_raises_is_exit_code_1_and_says_where(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", f"{module}.train:failing"]) == 1
    said = capsys.readouterr().err
    assert "RuntimeError: no lr" in said
    if sys.version_info >= (3, 11):
        assert "RuntimeError: no lr; Schedule at epoch 3" in said
    assert said.count("\n") == 1


def test_a_policy_that_leaves_is_exit_code_1_too(
    module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["preview", f"{module}.train:leaving"]) == 1
    assert "error: SystemExit: 0" in capsys.readouterr().err


def test_where_a_policy_failed_is_said_once(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["preview", "Exponential(1, 2)", "--epochs", "2000"]) == 1
    said = capsys.readouterr().err
    assert said.count("Schedule at epoch 1024") == 1
    assert said.count("\n") == 1


def test_what_is_too_much_to_look_at_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ",".join(["Constant(1)"] * 20)
    assert main(["preview", f"[{groups}]", "--epochs", "1000000"]) == 2
    assert capsys.readouterr().err.endswith(
        "1000000 epochs of 20 groups are too many to look at: give --epochs 500000 at most\n"
    )


# What is printed


def test_a_preview_is_a_drawing_and_a_table(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys, "preview", "Switch({0: 1e-3, 30: 1e-4})", "--epochs", "90")
    assert lines[0] == "lr of Switch({0: 1e-3, 30: 1e-4})"
    assert table(lines) == [["milestone", "lr"], ["0", "0.001"], ["30", "0.0001"]]
    assert lines[2].startswith(" 0.001┤")
    step = lines[5].index("⡇")
    assert step - lines[2].index("┤") == pytest.approx(72 * 30 / 89, abs=2)
    axis = next(line for line in lines if line.split() == ["0", "20", "40", "60", "80"])
    assert axis.index("20") < step < axis.index("40")


@pytest.mark.spec("O5")
def test_what_is_scheduled_is_named_where_it_is_not_lr(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Switch({0: 0.95, 2: 0.85}, option='momentum')"
    lines = printed(capsys, "preview", text, "--epochs", "4")
    assert lines[0] == f"momentum of {text}"
    assert table(lines)[0] == ["milestone", "momentum"]
    (line,) = printed(capsys, "preview", text, "--epochs", "4", "--json")
    assert json.loads(line)["option"] == "momentum"
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: drawn.append(figure))
    printed(capsys, "preview", text, "--save", str(tmp_path / "momentum.png"))
    (ax,) = drawn[0].axes
    assert ax.get_ylabel() == ax.lines[0].get_label() == "momentum"


@pytest.mark.spec("V9", "V11")
def test_where_a_policy_starts_from_the_lr_of_a_group_it_is_relative_to_that_and_said_so(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = "Scale: relative to a start of 1, as none is known"
    command = ["preview", "Scale([Step(1, 1, 0.5), None])", "--epochs", "2"]
    assert main([*command, "--csv"]) == 0
    output = capsys.readouterr()
    assert output.out.splitlines()[1:] == ["0,1.0,1.0", "1,0.5,1.0"]
    assert output.err == f"{said}\n"
    assert json.loads(printed(capsys, *command, "--json")[0])["relative"] == said
    assert " ".join(printed(capsys, *command)).startswith(f"lr ({said}) of Scale([")
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: drawn.append(figure))
    printed(capsys, *command, "--save", str(tmp_path / "lr.png"))
    assert drawn[0].axes[0].get_ylabel() == f"lr ({said})"


def test_several_are_compared_by_name(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "{'smooth': Cosine(1, 0, 4), 'two': [Constant(1), Constant(2)], 'steps': Switch({0: 1})}"
    command = ["preview", text, "--epochs", "2"]
    lines = printed(capsys, *command)
    assert table(lines)[0] == ["milestone", "0: smooth", "1: two group_0, steps", "2: two group_1"]
    assert "Each line is drawn with the number of its heading." in lines
    columns = ["smooth", "two group_0", "two group_1", "steps"]
    assert printed(capsys, *command, "--csv")[0] == ",".join(["epoch", *columns])
    read = json.loads(printed(capsys, *command, "--json")[0])
    assert read["columns"] == columns
    assert read["lrs"][0] == [1.0, 1.0, 2.0, 1.0]
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: drawn.append(figure))
    printed(capsys, *command, "--save", str(tmp_path / "lr.png"))
    labels = [line.get_label() for line in drawn[0].axes[0].lines]
    assert labels == ["smooth", "two, group 0", "two, group 1", "steps"]
    switches = load("[Switch({0: 1}), Switch({0: 2})]")
    assert [*switches] == [f"Switch(mapping={{0: {lr}.0}}, lr_init=0.001)" for lr in (1, 2)]


def test_each_group_is_drawn_with_its_number(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[Constant(3), Constant(1), Linear(1, 2, 50), Constant(3)]"
    lines = printed(capsys, "preview", text, "--epochs", "50")
    assert table(lines)[0] == ["milestone", "groups 0, 3", "group 1", "group 2"]
    rows = [re.sub(r"^.*[┤│](.*)│$", r"\1", line) for line in lines if line.endswith("│")]
    assert set(rows[0]) == {"0"}
    assert set(rows[-1]) <= {"1", "2"}
    heights = [min(i for i, row in enumerate(rows) if row[x] == "2") for x in (10, 40, 70)]
    assert heights == sorted(heights, reverse=True)
    assert "Each line is drawn with the number of its param group." in lines


def test_groups_that_have_names_are_called_by_them(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "Schedule.by_name({'head': Step(2, 1), 'body': Constant(1), 'neck': Step(2, 1)})"
    command = ["preview", text, "--epochs", "2"]
    lines = printed(capsys, *command)
    assert table(lines)[0] == ["milestone", "0: groups head, neck", "1: group body"]
    assert "Each line is drawn with the number of its heading." in lines
    assert printed(capsys, *command, "--csv")[0] == "epoch,group_head,group_body,group_neck"
    (line,) = printed(capsys, "preview", f"{{'one': {text}, 'two': Constant(1)}}", "--json")
    assert json.loads(line)["columns"] == [
        "one group_head",
        "one group_body",
        "one group_neck",
        "two",
    ]
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: drawn.append(figure))
    printed(capsys, *command, "--save", str(tmp_path / "lr.png"))
    labels = [line.get_label() for line in drawn[0].axes[0].lines]
    assert labels == ["lr, groups head, neck", "lr, group body"]


@pytest.mark.parametrize(
    ("text", "epochs", "labels"),
    [
        ("Exponential(1, 0.9)", 90, ["1", "0.1", "0.01", "0.001", "0.0001"]),
        ("Constant(0)", 9, ["0"]),
        ("Constant(0.1)", 1, ["0.1"]),
        ("Linear(0, 1, 9)", 10, ["1", "0.8", "0.6", "0.4", "0.2", "0"]),
        ("Linear(5, 5.0000001, 9)", 10, ["5.0000001", "5.00000005", "5"]),
    ],
)
def test_the_axis_has_round_numbers(
    text: str, epochs: int, labels: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    lines = printed(capsys, "preview", text, "--epochs", str(epochs))
    assert [line.split("┤")[0].strip() for line in lines if "┤" in line] == labels


def test_long_tables_are_cut_and_say_so(capsys: pytest.CaptureFixture[str]) -> None:
    groups = ",".join(f"Step({i + 1}, 2)" for i in range(40))
    lines = printed(capsys, "preview", f"[{groups}]", "--epochs", "100")
    rows = table(lines)
    assert rows[0][1:] == [f"group {i}" for i in range(5)]
    assert [row[0] for row in rows[1:21]] == [str(2 * i) for i in range(20)]
    assert [*map(" ".join, rows[21:])] == [
        "30 more milestones: --csv and --json print all.",
        "35 more groups: --csv and --json print all.",
    ]
    assert "a is 10, b is 11" in " ".join(lines)
    assert "Step(13, 2)..." in " ".join(lines[:3])


def test_a_million_epochs_are_drawn_from_the_highest_to_the_lowest() -> None:
    lrs = simulate(Schedule(schedules.Triangular(0, 1, 3, 4)), 10**5)[:, 0]
    xs, ys = cli._points(lrs)
    assert len(xs) <= 2 * cli.MAX_POINTS
    assert (min(ys), max(ys)) == (0, 1)
    assert xs == sorted(xs)
    assert all(lrs[int(x)] == y for x, y in zip(xs, ys, strict=True))


@pytest.mark.parametrize(
    "arguments",
    [
        *([*heading.split()] for heading in HEADINGS),
        ["preview", "Cosine(0.1, 1e-7, 90)"],
        ["preview", "Exponential(0.1, 0.5)"],
        ["preview", ",".join(f"Switch({{0: {i}e-7}})" for i in range(300))],
        ["preview", f"[{','.join(f'Constant({i + 1}e-7)' for i in range(12))}]"],
        ["preview", "Constant(123456789)", "--epochs", "1000"],
        ["version", "--hash"],
    ],
    ids=lambda arguments: " ".join(arguments)[:30],
)
def test_lines_fit_80_columns_and_have_no_colour_in_a_pipe(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    with suppress(SystemExit):
        main(arguments)
    output = capsys.readouterr().out
    assert "\x1b" not in output
    assert max(map(len, output.splitlines()), default=0) <= 80


@pytest.mark.parametrize("text", [text for text, _ in [(repr(s), 0) for s, _ in BY_HAND]])
def test_every_schedule_can_be_drawn(text: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert "milestone" in "\n".join(printed(capsys, "preview", text, "--epochs", "12"))


@given(
    st.tuples(st.floats(0, allow_infinity=False), st.floats(0, allow_infinity=False)),
    st.integers(1, 30),
)
def test_any_lrs_are_drawn_or_refused_in_one_line(ends: tuple[float, float], epochs: int) -> None:
    text = "Linear({!r}, {!r}, 9)".format(*ends)
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err):
        code = main(["preview", text, f"--epochs={epochs}"])
    if code:
        assert "cannot be drawn: --csv and --json print them" in err.getvalue()
        assert not 1e-300 < max(ends) < 1e300
    else:
        assert "milestone" in out.getvalue()


def test_csv_has_a_line_an_epoch_with_all_digits(capsys: pytest.CaptureFixture[str]) -> None:
    text = "[Cosine(0.1, 0, 3), Constant(1)]"
    lines = printed(capsys, "preview", text, "--epochs", "4", "--csv")
    assert lines[0] == "epoch,group_0,group_1"
    rows = [[float(cell) for cell in line.split(",")] for line in lines[1:]]
    assert rows == [[t, *lrs] for t, lrs in enumerate(simulate(load(text), 4).tolist())]


def test_json_has_the_lrs_and_the_milestones(capsys: pytest.CaptureFixture[str]) -> None:
    (line,) = printed(capsys, "preview", "Switch({0: .5,\n 2: .25})", "--epochs", "4", "--json")
    assert json.loads(line) == {
        "policy": "Switch({0: .5, 2: .25})",
        "option": "lr",
        "epochs": 4,
        "columns": ["group_0"],
        "milestones": [0, 2],
        "lrs": [[0.5], [0.5], [0.25], [0.25]],
    }


@pytest.mark.parametrize(("suffix", "head"), [(".png", b"\x89PNG"), (".svg", b"<?xml")])
def test_save_writes_a_picture(
    suffix: str, head: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / f"lr{suffix}"
    assert printed(capsys, "preview", "Cosine(0.1, 0, 9)", "--save", str(file)) == [f"saved {file}"]
    assert file.read_bytes().startswith(head)


def test_a_saved_picture_says_what_it_shows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    drawn: list[Figure] = []
    monkeypatch.setattr(Figure, "savefig", lambda figure, file: drawn.append(figure))
    text = "[Cosine(0.1, 0, 9), " + ", ".join(["Constant(0.05)"] * 20) + "]"
    printed(capsys, "preview", text, "--save", str(tmp_path / "lr.png"))
    (ax,) = drawn[0].axes
    lines = ax.get_title().split("\n")
    assert " ".join(lines) == f"{text[:147]}..."
    assert max(map(len, lines)) <= 76
    legend = ax.get_legend()
    assert legend is not None
    assert [label.get_text() for label in legend.get_texts()] == [
        "lr, group 0",
        "lr, 20 groups from 1",
    ]


def test_an_ascii_terminal_takes_any_name_of_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    output = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(output, encoding="ascii"))
    assert main(["preview", "Constant(1)", "--save", str(tmp_path / "\u00e9.png")]) == 0
    assert output.getvalue().endswith(b"?.png\n")
    assert (tmp_path / "\u00e9.png").exists()


def test_any_output_that_takes_text_will_do(monkeypatch: pytest.MonkeyPatch) -> None:
    output = io.StringIO()
    monkeypatch.setattr(sys, "stdout", output)
    assert main(["preview", "Constant(1)"]) == 0
    assert "milestone" in output.getvalue()


# Wrong usage


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ("", "the following arguments are required: COMMAND"),
        ("draw", "invalid choice: 'draw'"),
        ("preview", "the following arguments are required: POLICY"),
        *(
            (
                f"preview Constant(1) --epochs={number}",
                f"--epochs: must be a whole number from 1 to 1,000,000, not '{number:.70}",
            )
            for number in ("0", "-1", "1000001", "1e3", "ten", "9" * 5000)
        ),
        ("preview Constant(1) --save lr.gif", "must end in .png or .svg, not 'lr.gif'"),
        ("preview Constant(1) --csv --json", "not allowed with"),
    ],
)
def test_wrong_usage_is_exit_code_2(
    arguments: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as caught:
        main(shlex.split(arguments))
    assert caught.value.code == 2
    assert message in capsys.readouterr().err


def test_a_file_that_cannot_be_written_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "nowhere" / "lr.png"
    assert main(["preview", "Constant(1)", "--save", str(file)]) == 2
    said = capsys.readouterr().err
    assert str(file) in said
    assert said.count("\n") == 1


@pytest.mark.parametrize(
    ("missing", "arguments"), [("rich", []), ("plotext", []), ("matplotlib", ["--save", "x.png"])]
)
def test_a_missing_library_is_named_with_what_to_install(
    missing: str,
    arguments: list[str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] == missing]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, missing, None)
    assert main(["preview", "Constant(1)", *arguments]) == 2
    said = capsys.readouterr().err
    assert missing in said
    assert "pip install matplotlib rich 'plotext>=5.3,<6'" in said
    assert 'cli = ["plotext>=5.3,<6", "rich' in (ROOT / "pyproject.toml").read_text()
    assert main(["preview", "Constant(1)", "--epochs", "1", "--csv"]) == 0  # needs none of them


@pytest.mark.parametrize("version", ["6.0", "6.1.0", "10.2"])
def test_a_plotext_that_cannot_draw_steps_is_refused(
    version: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plotext: Any = pytest.importorskip("plotext")
    monkeypatch.setattr(plotext, "__version__", version)
    assert main(["preview", "Switch({0: 1, 3: 2})"]) == 2
    said = capsys.readouterr().err
    message = f"error: plotext {version} aborts on a plot of steps: pip install 'plotext<6'\n"
    assert said.partition(": ")[2] == message


def test_output_that_nobody_reads_to_the_end_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class Closed:
        def __init__(self) -> None:
            self.descriptor = os.open(os.devnull, os.O_WRONLY)

        def write(self, text: str) -> int:
            raise BrokenPipeError

        def fileno(self) -> int:
            return self.descriptor

    closed = Closed()
    monkeypatch.setattr(sys, "stdout", closed)
    assert main(["version"]) == 0
    os.close(closed.descriptor)


# check and version


def test_check_hands_its_arguments_to_the_suite(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    seen: list[tuple[list[str], dict[str, Any]]] = []

    def check_command(targets: list[str], **options: Any) -> int:
        given = {name: value for name, value in options.items() if value is not None}
        seen.append((targets, given))
        return 1

    fake = types.ModuleType("command")
    fake.check_command = check_command  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "thunder_policy.conformance", types.ModuleType("conformance"))
    monkeypatch.setitem(sys.modules, "thunder_policy.conformance.command", fake)
    assert main(["check", "a:B"]) == 1
    assert main(["check", "a:B", "--groups", "2", "--expected", "a:f", "--json"]) == 1
    many = "check a:B c.py:* --epochs 9 --optimizer a:O --expected-failures f --laws 1 --junit x"
    assert main([*many.split(), "--markdown"]) == 1
    rest = {"optimizer": "a:O", "expected_failures": "f", "laws": "1", "junit": "x"}
    assert seen == [
        (["a:B"], {}),
        (["a:B"], {"groups": 2, "expected": "a:f", "form": "json"}),
        (["a:B", "c.py:*"], {"epochs": 9, "form": "markdown", **rest}),
    ]

    monkeypatch.setitem(sys.modules, "thunder_policy.conformance.command", None)
    assert main(["check", "a:B"]) == 2
    assert "thunder_policy.conformance.command" in capsys.readouterr().err


def test_version_is_that_of_the_package(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "version") == [thunder_policy.__version__]
    (digest,) = printed(capsys, "version", "--hash")
    assert re.fullmatch(r"[0-9a-f]{64}", digest)
    assert digest == cli.source_hash()


def test_the_option_says_what_the_version_is_of(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as left:
        main(["--version"])
    assert not left.value.code
    assert capsys.readouterr().out == f"thunder_policy {thunder_policy.__version__}\n"


def test_a_folder_without_the_sources_has_no_hash(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(cli, "__file__", str(tmp_path / "cli.pyc"))
    assert main(["version", "--hash"]) == 2
    assert "there are no sources in" in capsys.readouterr().err


@pytest.mark.slow
def test_the_command_runs_without_the_sources(tmp_path: Path) -> None:
    """A freezer leaves no more than this: compiled modules, and a file or two of data."""
    folder = Path(cli.__file__).parent
    archive = tmp_path / "frozen.zip"
    with zipfile.ZipFile(archive, "w") as file:
        file.write(folder / "py.typed", "thunder_policy/py.typed")
        for source in folder.rglob("*.py"):
            name = source.relative_to(folder.parent).with_suffix(".pyc").as_posix()
            cfile = str(tmp_path / "module.pyc")
            file.write(str(py_compile.compile(str(source), cfile, dfile=f"gone/{name}")), name)
    unpacked = tmp_path / "unpacked"
    shutil.unpack_archive(archive, unpacked)
    (tmp_path / "mine.py").write_text(
        "from thunder_policy import Policy\n"
        "class Broken(Policy):\n"
        "    count = 0\n"
        "    def get_lr(self):\n"
        "        self.count += 1\n"
        "        return [0.1 / self.count for _ in self.base_lrs]\n"
    )
    for place in (archive, unpacked):
        ran = shell("version", "--hash", cwd=tmp_path, PYTHONPATH=str(place))
        assert (ran.returncode, ran.stdout) == (2, "")
        assert "there are no sources in" in ran.stderr
        assert ran.stderr.count("\n") == 1
    ran = shell("check", "mine.py:Broken", cwd=tmp_path, PYTHONPATH=str(unpacked))
    assert (ran.returncode, ran.stderr) == (1, "")
    assert re.search(r"^rebind +failed", ran.stdout, re.MULTILINE)


def test_a_vendored_copy_has_the_same_hash_until_it_is_changed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original = cli.source_hash()
    copy = tmp_path / "theirs" / "vendored"
    ignored = shutil.ignore_patterns("__pycache__", ".*cache")
    shutil.copytree(Path(cli.__file__).parent, copy, ignore=ignored)
    policy = copy / "policy.py"
    policy.write_bytes(policy.read_bytes().replace(b"\n", b"\r\n"))  # as git does on Windows
    (copy / "README").write_text("where this comes from")
    ran = shell("version", "--hash", cwd=tmp_path, package="theirs.vendored")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, f"{original}\n", "")

    monkeypatch.setattr(cli, "__file__", str(copy / "cli.py"))
    for change in (
        lambda: policy.write_bytes(policy.read_bytes() + b"# mine\n"),
        lambda: policy.rename(copy / "policies.py"),
        lambda: (copy / "py.typed").unlink(),
        lambda: (copy / "more.py").touch(),
    ):
        before = cli.source_hash()
        change()
        assert cli.source_hash() not in (before, original)


# The whole command


def test_the_examples_of_the_help_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    lines = [line.split("%(prog)s ")[1] for line in cli.EPILOG.splitlines() if "%(prog)s" in line]
    commands = [shlex.split(line) for line in lines if "mypackage" not in line]
    commands += [["preview", text] for text in re.findall(r'"(.+?)"', cli.PREVIEW)]
    assert len(commands) == 9
    for command in commands:
        assert main(command) == 0, command
    assert (tmp_path / "lr.png").exists()
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("command", HEADINGS)
def test_help_is_wrapped_between_words(
    command: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["thunder-policy"])
    words = {}
    for columns in (60, 300):
        monkeypatch.setenv("COLUMNS", str(columns))
        with pytest.raises(SystemExit):
            main(command.split())
        lines = capsys.readouterr().out.splitlines()
        assert max(map(len, lines)) <= columns
        words[columns] = sorted(word for line in lines for word in line.split())
    assert words[60] == words[300]


def test_the_module_runs_the_command(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["__main__.py", "version"])
    with pytest.raises(SystemExit) as caught:
        runpy.run_module("thunder_policy", run_name="__main__")
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"{thunder_policy.__version__}\n"


def test_usage_says_how_the_command_was_started(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, usage in (("/bin/thunder-policy", "thunder-policy"), ("a/__main__.py", "python -m")):
        monkeypatch.setattr(sys, "argv", [name])
        with pytest.raises(SystemExit):
            main(["--help"])
        assert capsys.readouterr().out.startswith(f"usage: {usage}")


@pytest.mark.slow
def test_a_terminal_has_colour_and_a_pipe_and_an_ascii_one_have_none() -> None:
    text = "[Constant(1), Constant(2)]"
    forced = shell("preview", text, FORCE_COLOR="1", COLUMNS="60")
    assert "\x1b[" in forced.stdout
    plain = re.sub(r"\x1b\[[\d;]*m", "", forced.stdout).splitlines()
    assert max(map(len, plain)) <= 60

    ascii_only = shell("preview", text, PYTHONIOENCODING="ascii", NO_COLOR="1")
    assert ascii_only.returncode == 0
    assert ascii_only.stdout.isascii()
    assert "\x1b" not in ascii_only.stdout
    assert "111111" in ascii_only.stdout
