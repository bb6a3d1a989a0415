"""Whatever is typed: a policy or one line of error, a documented exit code, and nothing is run."""

from __future__ import annotations

import io
import json
import math
import re
import sys
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path
from typing import Any

import pytest
from hostile import audited, effort, soon
from hypothesis import assume, example, given
from hypothesis import strategies as st

import thunder_policy
from thunder_policy import Policy, schedules
from thunder_policy.cli import main
from thunder_policy.conformance.command import check_command
from thunder_policy.expression import ExpressionError, load
from thunder_policy.simulate import schedulers

KNOWN: dict[str, Any] = {
    **{name: getattr(thunder_policy, name) for name in ("Switch", "Multiply", "Schedule", "Scale")},
    **{name: getattr(schedules, name) for name in schedules.__all__},
}

# Texts

scalars = st.one_of(
    st.integers(0, 20).map(str),
    st.floats(0, 10).map(repr),
    st.sampled_from(["0", "1", "0.1", "1e-3", "9", "30", "None", "True", "'cos'", "'linear'"]),
    st.sampled_from(["'weight_decay'", "'override'"]),
    st.sampled_from(["10**18", "10**19", "1e308", "1e999", "5e-324", "-1", "1_000", "0x1f", "0b1"]),
    st.sampled_from(["1.", ".5", "1e5", "00", "9" * 30, "1j", "b'x'", "...", "''", "__debug__"]),
)
operators = st.sampled_from(["+", "-", "*", "*", "*", "/", "//", "%", "**", "@", "<<", "==", "and"])
keywords = st.sampled_from(
    ["", "", "", "lr_init=", "epochs=", "at=", "min=", "gamma=", "mapping=", "option=", "on_load="]
)


def grown(part: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of expressions made of others, such as a policy is, and such as none is."""
    arguments = st.lists(st.builds("{}{}".format, keywords, part), max_size=3).map(", ".join)
    names = st.sampled_from(sorted(KNOWN))
    methods = st.sampled_from(["then", "in_steps", "in_steps", "state_dict", "__class__"])
    pairs = st.lists(st.builds("{}: {}".format, scalars, part), max_size=3).map(", ".join)
    return st.one_of(
        st.builds("{}({})".format, names, arguments),
        st.builds("Switch({{{}}})".format, pairs),
        st.builds("Multiply({{{}}}, {})".format, pairs, part),
        st.builds("Constant({})".format, part),
        st.builds("Cosine({}, {}, {})".format, scalars, scalars, scalars),
        st.builds("{}.{}({})".format, part, methods, arguments),
        st.builds("({} {} {})".format, part, operators, part),
        st.builds("[{}, {}]".format, part, part),
        st.builds("{{{}}}".format, pairs),
        st.builds("-{}".format, part),
    )


expressions = st.recursive(scalars, grown, max_leaves=8)
TRICKS = """
    __import__('os').system('{}')|exec('{}')|eval('{}')|open('{}', 'w')|breakpoint()|print({})
    {}.__class__|{}.__class__.__bases__[0].__subclasses__()|{}.__init__.__globals__['os']
    {}.then.__func__.__globals__|{}.mapping|{}.optimizer|getattr({}, '__class__')|type({})|vars()
    Switch.__init__({})|Switch.__new__(Switch)|Switch|schedules.Constant({})|Schedule(eval)
    Schedule(__import__)|Schedule(lambda t: {})|Schedule(open)|(lambda: {})()|lambda: {}
    [x for x in {}]|{{x: x for x in {}}}|(x for x in {})|sum({})|(x := {})
    f'{{{}}}'|f'{{{}!r:>{{9}}}}'
    {} if {} else {}|await {}|(yield {})|(yield from {})|*{}|Switch(*{})|Switch(**{})|{{**{}}}|[*{}]
    {}[0]|{}[::2]|{}[{}]|'%s' % {}|'{{0.__class__}}'.format({})|'a' * 10**9|[0] * 10**9|[{}] * 9
    {}; {}|{} # {}|# {}|{}\\|'''{}|r'{}'|b'{}'|'\\N{{BULLET}}'|'\\ud800'|{} := {}|x = {}|import os
    del {}|assert {}|raise {}|global x|class A: pass|def f(): pass|async def f(): pass|@{}|-> {}|~{}
    not {}|{} < {} < {}|{} is {}|{} in {}|{{{}, {}}}|{{1: {}, 1: {}}}|{}**{}**{}**{}|9**9**9**{}
    2**{}**10**18|{}//0|{}%0|{}/0|0**-1|(-8)**0.5|10**18*10**18|1e308*10|-(-(-({})))|+{}|--{}|{}.{}
    {}.5.then(1)|1 .real|1..then({})|Constant(1).then({}, at={}).in_steps({})|{}.in_steps(10**18)
    in_steps({})|warmup({}, {})|warmup(10**18, {})|Piecewise([[0, {}], [1, {}]])|Product({}, {})
    MultiStep(1, [{}, {}])|MultiStep(1, 'abc')|Piecewise('ab')|Piecewise({{0: {}}})
    Then({}, {}, {})|Schedule([{}, {}])|Schedule('{}')|Switch('{}')
    Multiply({{0: '{}'}})|Linear('a', 1, 2)
"""
tricks = st.builds(
    lambda trick, parts: trick.format(*parts),
    st.sampled_from([trick.strip() for trick in re.split(r"[|\n]", TRICKS) if trick.strip()]),
    st.lists(
        st.sampled_from(["1", "0", "Constant(1)", "Switch({0: 1})"]) | expressions, min_size=4
    ),
)
OPEN = ["(", "[", "{0:", "-", "+", "not ", "lambda:", "Constant(", "Switch([", "1+", "1*", "2**"]
OPEN += ["f(", "a.", "1 if 1 else ", "await ", "*", "~", "[[", "((", "{", "f'{", "1,", "'a' ", "1;"]
CLOSE = ["", ")", "]", "}", "1", "1)", "1]", "1}", ".in_steps(1)", "()", "[0]", "**9", ".a", "1}'"]
deep = st.builds(
    lambda start, middle, end, many, more: start * many + middle + end * more,
    st.sampled_from(OPEN),
    scalars,
    st.sampled_from(CLOSE),
    st.integers(1, 2500),
    st.integers(0, 2500),
)
PIECES = ["__class__", "lambda:", ":=", "**", "*", "\n", "\t", "\x00", "\x0c", "\u2028", "\uff11"]
PIECES += [";", "\\", "'", '"', "(", ")", "[", "]", "{", "}", ",", ".", "0", "9" * 50, "eval", "#"]


@st.composite
def damaged(draw: st.DrawFn) -> str:
    """The text of an expression, of which parts are cut out, doubled or replaced."""
    text = draw(expressions | tricks)
    for _ in range(draw(st.integers(1, 4))):
        i, j = sorted((draw(st.integers(0, len(text))), draw(st.integers(0, len(text)))))
        new = draw(
            st.sampled_from(["", text[i:j] * 2]) | st.sampled_from(PIECES) | st.text(max_size=3)
        )
        text = text[:i] + new + text[j:]
    return text


texts = st.one_of(
    expressions, expressions, tricks, damaged(), damaged(), deep, st.text(max_size=60)
)
TARGET = re.compile(r"\s*\w+(\.\w+)*:\w+(\.\w+)*\s*", re.ASCII)


@effort(6)
@given(texts)
@example("Switch({0: '" + "\\n" * 9 + "'})")
@example("MultiStep(1, [" + "9" * 3000 + "])")
@example("((((((" * 400)
@example("Constant(1)" + ".in_steps(10**18)" * 200)
@example("Switch({0: 1}).in_steps(" + "9**" * 50 + "9)")
def test_an_expression_is_a_policy_or_an_error_of_one_line_and_runs_nothing(text: str) -> None:
    assume(not TARGET.fullmatch(text))  # to be imported
    line = re.sub(r"\s", " ", text, flags=re.ASCII).strip()
    try:
        with audited() as events, soon():
            policy = load(text)
    except ExpressionError as error:
        said = str(error)
        assert len(said.splitlines()) == 1
        assert said.isprintable()
        assert len(said) < 400
    else:
        # What is accepted means what it means in Python, with nothing but the known names.
        same = eval(line, {"__builtins__": {}, **KNOWN})
        named = policy if isinstance(policy, dict) else {type(same).__name__: policy}
        assert all(isinstance(one, Policy) for one in named.values())
        assert [*map(repr, named.values())] == [*map(repr, schedulers("load", same).values())]
    # It is compiled to a tree, and signatures are looked at: nothing is run, imported or opened.
    assert {event for event, _ in events} <= {"compile", "object.__getattr__", "builtins.id"}
    assert [event for event, _ in events].count("compile") <= 1


@effort(1)
@given(texts, st.sampled_from(["--csv", "--json", "--epochs=3"]), st.integers(1, 12))
@example("Exponential(1, 1e308)", "--csv", 4)
@example("Multiply({1: 1e308, 2: 1e308}, 1)", "--epochs=3", 4)
@example("Switch({0: 1e-320})", "--epochs=3", 2)
@example("[Constant(1)] * 9", "--csv", 2)
def test_preview_prints_lrs_or_one_line_of_error(text: str, form: str, epochs: int) -> None:
    assume(not TARGET.fullmatch(text))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), soon():
        code = main(["preview", f"--epochs={epochs}", form, "--", text])
    if code:
        assert code in (1, 2)
        assert out.getvalue() == ""
        assert len(err.getvalue().splitlines()) == 1
    else:
        assert re.fullmatch(r"(.+: relative to a start of 1, as none is known\n)?", err.getvalue())
        if form == "--csv":
            rows = [line.split(",") for line in out.getvalue().splitlines()[1:]]
            assert len(rows) == epochs
            assert all(math.isfinite(float(cell)) for row in rows for cell in row)
        elif form == "--json":
            assert len(json.loads(out.getvalue())["lrs"]) == epochs


OPTIONS = ["preview", "check", "version", "--epochs", "--csv", "--json", "--hash", "--groups", "-h"]
OPTIONS += ["--expected", "--save=lr.gif", "--save=", "--epochs=1", "--epochs=0", "--groups=-1"]
OPTIONS += ["--epochs=1_0", "--epochs=\u0663", "Constant(1)", "nowhere:nothing", "", "-", "--"]


@effort(1)
@given(st.lists(st.sampled_from(OPTIONS) | st.text(max_size=4), max_size=6))
@example(["version", "--hash"])
def test_any_arguments_end_with_a_documented_exit_code(arguments: list[str]) -> None:
    assume(not any(TARGET.fullmatch(one) and one != "nowhere:nothing" for one in arguments))
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), soon():
        try:
            code: object = main(arguments)
        except SystemExit as error:  # from argparse: help, or wrong usage
            code = error.code
    assert code in (0, 1, 2)
    assert (code == 0) == (err.getvalue() == "")
    assert code == 0 or "error: " in err.getvalue() or err.getvalue().startswith("check ")


# Targets

BAD_MODULE = """
import functools, sys
from torch import zeros
from torch.nn import Parameter
from torch.optim import SGD
from torch.optim.lr_scheduler import StepLR
from thunder_policy import MappingPolicy, Policy, Schedule, Switch
from hostile import NAMES, Leaving, Theirs, hostile

globals().update({f"hostile{i}": made for i, made in enumerate([
    hostile(object, "__class__"), hostile(object, "__repr__"), hostile(object, "__getattr__"),
    hostile(object, "__call__"), hostile(object, "__getattribute__"), hostile(dict, "__len__"),
    hostile(object, "__getattr__", raises=KeyError), hostile(str, "__str__", "__repr__"),
    hostile(object, "__call__", "__repr__", raises=SystemExit), hostile(object, "__deepcopy__"),
])})

class Silent(Exception):
    def __str__(self):
        raise RuntimeError("no message")

class Raising:
    def __init__(self, error):
        self.error = error
    def __call__(self):
        raise self.error

class Needs(Policy):
    def __init__(self, epochs):
        pass
    def get_lr(self):
        return [0.1]

class Empty:
    def __init__(self, optimizer):
        pass

number, text, nothing, several = 3, "a\\nb\\x1b[0m" * 99, None, [Switch({0: 1}), 3]
loop = []
loop.append(loop)
leaves, fails = Raising(SystemExit(0)), Raising(OSError("no\\ndata\\r\\x85"))
silent, stops, deep = Raising(Silent()), Raising(StopIteration()), Raising(RecursionError())
bound = Switch({0: 1})(SGD([{"params": [Parameter(zeros(1))]}], lr=0.1))
makes_none, makes_text, makes_loop = (lambda: None), (lambda: "a\\nb"), (lambda: loop)
steps = functools.partial(StepLR)
wrong = functools.partial(StepLR, 3, 4, 5, 6, 7)
abstract, mapping, generic = Policy, MappingPolicy, MappingPolicy[int]
leave, builtin, this = sys.exit, len, sys.modules[__name__]
"""
FILES = {
    "fuzz_targets.py": BAD_MODULE,
    "fuzz_raises.py": "raise OSError('no\\ndata')",
    "fuzz_leaves.py": "raise SystemExit(0)",
    "fuzz_exits.py": "import sys\nsys.exit()",
    "fuzz_silent.py": "from fuzz_targets import Silent\nraise Silent()",
    "fuzz_asks.py": "def __getattr__(name):\n    raise KeyError(name)",
    "fuzz_syntax.py": "def f(:\n  pass",
    "fuzz_deep.py": "x = " + "(" * 5000,
    "fuzz_null.py": "x = '\x00'",
    "fuzz_odd.py": "# \udce9\n",
}


@pytest.fixture(scope="module", autouse=True)
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Work in a folder that has modules to import, all of them bad."""
    folder = tmp_path_factory.mktemp("targets")
    for name, text in FILES.items():
        (folder / name).write_bytes(text.encode("utf-8", "surrogateescape"))
    (folder / "fuzz_folder.py").mkdir()
    known = {*sys.modules}
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(sys, "path", [*sys.path])
        yield
    for name in {*sys.modules} - known:
        if name.startswith("fuzz_"):
            del sys.modules[name]


words = re.findall(r"^(?:class )?([\w, ]+?)(?: =|\(|:)", BAD_MODULE, re.MULTILINE)
attributes = st.sampled_from(
    [
        *(name for names in words for name in names.split(", ")),
        *(f"hostile{i}" for i in range(10)),
        *("nowhere", "Empty.nowhere", "number.real", "hostile2.a.b", "__builtins__", "__name__"),
        *("__getattr__", "sys", "SGD", "NAMES", "a b", "1", "a..b", ".", "text.upper", ""),
    ]
)
places = st.sampled_from(
    [
        *(name for file in FILES for name in (file, file.removesuffix(".py"))),
        *("fuzz_folder.py", "fuzz_folder", "nowhere", "nowhere.py", "./fuzz_targets.py", "", ".py"),
        *(
            "fuzz_targets.nowhere",
            "..fuzz_targets",
            ".fuzz_targets",
            "/",
            "a\x00.py",
            "a" * 300 + ".py",
        ),
        *(
            "fuzz_targets:",
            "fuzz_targets.py:Empty",
            "\ud800.py",
            "\n.py",
            "fuzz targets",
            "C:\\x.py",
        ),
    ]
)
targets = st.one_of(
    st.builds("{}:{}".format, places, attributes),
    st.builds("fuzz_targets:{}".format, attributes),
    st.builds("fuzz_targets{}:{}".format, st.text(max_size=2), attributes),
    st.builds("fuzz_targets:{}".format, st.text(max_size=9)),
    st.text(max_size=20).map("fuzz_{}".format),
)


@effort(2)
@given(target=targets, groups=st.none() | st.integers(1, 3), expected=st.none() | targets)
@example("fuzz_leaves:policy", None, None)
@example("fuzz_targets:leaves", None, None)
@example("fuzz_targets:leave", None, None)
@example("fuzz_targets:silent", None, None)
@example("fuzz_silent:policy", None, None)
@example("fuzz_asks:policy", None, None)
@example("fuzz_targets:hostile0", None, None)
@example("fuzz\n_targets:\x1b", None, None)
@example("fuzz_targets:Needs", None, "fuzz_targets:number")
def test_a_bad_target_of_check_is_one_line_and_exit_code_2(
    target: str, groups: int | None, expected: str | None
) -> None:
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), soon():
        code = check_command([target], groups=groups, expected=expected)
    assert (code, out.getvalue()) == (2, "")
    said = err.getvalue()
    assert said.startswith("check ")
    assert len(said.splitlines()) == 1
    assert len(said) < 600


@effort(2)
@given(target=targets)
@example("fuzz_leaves:policy")
@example("fuzz_targets:silent")
@example("fuzz_targets:hostile0")
@example("fuzz_targets:text")
def test_a_bad_target_of_preview_is_one_line_and_exit_code_2(target: str) -> None:
    assume(not target.endswith(":bound"))  # check refuses it, and it can be looked at
    out, err = io.StringIO(), io.StringIO()
    with redirect_stdout(out), redirect_stderr(err), soon():
        code = main(["preview", "--", target])
    assert (code, out.getvalue()) == (2, "")
    assert len(err.getvalue().splitlines()) == 1


def test_the_folder_is_as_it_was() -> None:
    assert sorted(path.name for path in Path.cwd().glob("*")) == sorted([*FILES, "fuzz_folder.py"])
