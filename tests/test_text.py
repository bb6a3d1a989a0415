"""Policies in text, configurations and checkpoints: read back as they were, and nothing run."""

from __future__ import annotations

import argparse
import copy
import inspect
import io
import json
import pickle
import subprocess
import sys
import typing
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from helpers import named, sgd, through_disk
from hypothesis import assume, given
from hypothesis import strategies as st
from schedule_helpers import anything, rates

import thunder_policy
from thunder_policy import (
    MappingPolicy,
    Multiply,
    Plateau,
    Policy,
    Scale,
    Schedule,
    Switch,
    aliases,
    bound,
    parse,
    safe_globals,
    schedules,
)
from thunder_policy.checks import short
from thunder_policy.configs import as_text
from thunder_policy.expression import ExpressionError, load
from thunder_policy.schedules import Constant, Cosine, Piecewise, ScheduleFunction

# Any policy of the package without code of somebody's own, written in any way.

mappings = st.dictionaries(st.integers(0, 10**12), rates, max_size=4)


def one_or_several(one: st.SearchStrategy[Any], none: bool = False) -> st.SearchStrategy[Any]:
    several = st.lists(one | st.none() if none else one, min_size=2, max_size=2)
    return one | several.filter(any)


optional: dict[Any, st.SearchStrategy[Any]] = {
    "lr_init": st.none() | rates,
    "option": st.sampled_from(["lr", "weight_decay", "momentum"]),
    "on_load": st.sampled_from(["restore", "override"]),
}
by_name = st.fixed_dictionaries({}, optional=optional)
optional = {**optional, "lr_init": optional["lr_init"] | st.lists(rates, min_size=2, max_size=2)}
options = st.fixed_dictionaries({}, optional=optional)


def policies_of(
    cls: Any, one: st.SearchStrategy[Any], none: bool = False
) -> st.SearchStrategy[Any]:
    """Any of a class: for all groups, one a group, or by name, whatever the names."""
    named = st.dictionaries(st.text(max_size=4), one | st.none() if none else one, min_size=1)
    return st.builds(lambda m, o: cls(m, **o), one_or_several(one, none), options) | st.builds(
        lambda m, o: cls.by_name(m, **o), named, by_name
    )


cut = st.builds(
    Plateau,
    policies_of(Schedule, anything, none=True) | policies_of(Scale, anything, none=True),
    factor=st.floats(0, 0.9),
    patience=st.integers(0, 10),
    mode=st.sampled_from(["min", "max"]),
)
policies: st.SearchStrategy[MappingPolicy[Any]] = st.one_of(
    policies_of(Switch, mappings),
    policies_of(Multiply, mappings),
    policies_of(Schedule, anything, none=True),
    policies_of(Scale, anything, none=True),
    cut,
)


def has_text(value: object) -> bool:
    """Tell whether its text is within the limits of `parse`, and so is read."""
    try:
        parse(repr(value))
    except ValueError as error:
        if any(limit in str(error) for limit in ("longer than", "too large", "too deeply")):
            return False
        raise
    return True


# Text


@pytest.mark.spec("F1")
@given(policies | anything)
def test_parse_is_the_inverse_of_repr(value: Any) -> None:
    assume(has_text(value))
    again = parse(repr(value))
    assert type(again) is type(value)
    assert again == value
    assert repr(again) == repr(value)


@pytest.mark.spec("F1")
def test_a_lr_for_each_of_very_many_epochs_is_read() -> None:
    policy = Multiply(dict.fromkeys(range(5000), 0.999), lr_init=0.1)
    assert parse(repr(policy)) == policy


@pytest.mark.spec("F1")
def test_of_a_schedule_it_makes_a_schedule_and_no_policy() -> None:
    assert parse("Cosine(0.1, 0, epochs=90)") == Cosine(0.1, 0.0, 90)
    assert parse("Schedule(Cosine(0.1, 0, epochs=90))") == Schedule(Cosine(0.1, 0.0, 90))


@pytest.mark.spec("F1")
def test_of_one_that_is_bound_the_text_has_the_values_and_not_the_optimizer() -> None:
    policy = Switch({0: 0.1, 3: 0.2})(sgd(0.1))
    assert parse(repr(policy)) == Switch([{0: 0.1, 3: 0.2}], [0.1])


@pytest.mark.spec("F2")
@pytest.mark.parametrize(
    "text",
    [
        "__import__('os').getcwd()",
        "thunder_policy.cli:main",
        "os:getcwd",
        "(lambda: Switch({0: 1}))()",
        "Switch({0: 1}).__class__",
        "Constant(9**9**9)",
        "Switch({0: 1})" + " " * 100_000,
        "Schedule(" * 101 + ")" * 101,
        "Switch({1000000000000000001: 1})",
    ],
)
def test_what_would_run_or_never_end_is_refused(text: str) -> None:
    before = {*sys.modules}
    with pytest.raises(ValueError, match=r"^column "):
        parse(text)
    assert {*sys.modules} == before


def said_of(text: str) -> str:
    """What is said of a text that is none."""
    with pytest.raises(ExpressionError) as caught:
        parse(text)
    return str(caught.value)


@pytest.mark.spec("F2", "F3")
def test_a_text_at_a_limit_is_read_and_one_beyond_it_is_not() -> None:
    one = "Constant(1)"
    assert parse(one + " " * 99_989) == Constant(1)
    longer = "column 100001: the expression is longer than 100,000 characters"
    assert said_of(one + " " * 99_990) == longer

    assert "of type list" in said_of("[" * 100 + "1" + "]" * 100)
    assert said_of("[" * 101 + "1" + "]" * 101) == "column 102: the expression is nested too deeply"
    # Python itself gives up.
    assert said_of("  " + "-" * 50_000 + "1") == "column 3: the expression is nested too deeply"

    assert parse("Constant(10**18)") == Constant(10.0**18)
    assert said_of("Constant(10**18 + 1)") == "column 10: a number here is too large"


@pytest.mark.spec("F3")
def test_a_space_of_another_alphabet_is_a_character_that_nobody_sees() -> None:
    assert parse("Constant(\t1\n)") == Constant(1)
    assert said_of("Constant(\u20031)") == r"column 10: '\u2003' is no printable character"


@pytest.mark.parametrize("n", [3, 1000])
def test_what_cannot_be_asked_what_it_is_is_said_in_one_line(n: int, tmp_path: Path) -> None:
    file = tmp_path / "odd.py"
    file.write_text(
        "class Odd(dict):\n"
        f"    def values(self):\n        raise OSError('x' * {n})\n"
        "odd = Odd(a=1)\n"
    )
    with pytest.raises(ExpressionError) as caught:
        load(f"{file}:odd")
    said = f"{file}:odd cannot be used: OSError: {'x' * n}"
    assert str(caught.value) == (said if n == 3 else said[:297] + "...")


@pytest.mark.spec("F3")
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("Swich({0: 1})", "column 1: unknown name Swich; known are "),
        ("Switch({0: 1}", "column 7: '(' was never closed"),
        ("Switch({0: -1})", "column 1: Switch: mapping: the value at epoch 0 must be at least 0"),
        ("  [Constant(1)]", "is no policy and no schedule, but of type list; write Switch({"),
        ("3", "'3' is no policy and no schedule, but of type int"),
    ],
)
def test_argparse_shows_the_whole_error(
    text: str, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(ValueError, match=r"\w") as caught:
        parse(text)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    parser = argparse.ArgumentParser()
    parser.add_argument("--policy", type=parse)
    with pytest.raises(SystemExit):
        parser.parse_args(["--policy", text])
    assert f"argument --policy: {caught.value}\n" in capsys.readouterr().err


@pytest.mark.spec("F3")
@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "None (NoneType)"),
        (3, "3 (int)"),
        (b"Constant(1)", "b'Constant(1)' (bytes)"),
        (Constant(1), "Constant(value=1.0) (Constant)"),
        ({"Switch": {0: 1}}, "{'Switch': {0: 1}} (dict)"),
    ],
)
def test_what_is_no_text_is_a_type_error(value: Any, shown: str) -> None:
    with pytest.raises(TypeError) as caught:
        parse(value)
    assert str(caught.value) == f"parse takes a text, not {shown}: in YAML put it in quotes"


def test_the_package_is_imported_without_the_parser() -> None:
    code = (
        "import sys, thunder_policy as t; new = 'thunder_policy.expression' not in sys.modules\n"
        "assert new and 'thunder_policy.schedules' not in sys.modules\n"
        "assert t.parse('Switch({0: 1})') == t.Switch({0: 1})"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


# Pickles


@pytest.fixture
def allowed() -> Any:
    with torch.serialization.safe_globals(safe_globals()):
        yield


@pytest.mark.spec("K8", "K1")
@given(value=policies | anything)
def test_a_checkpoint_with_an_unbound_policy_is_read_with_weights_only(value: Any) -> None:
    with torch.serialization.safe_globals(safe_globals()):
        hparams = through_disk({"hparams": {"policy": value, "epochs": 90}})["hparams"]
    again = hparams["policy"]
    assert type(again) is type(value)
    assert again == value
    assert copy.deepcopy(value) == value
    if isinstance(value, MappingPolicy):
        assert vars(again) == vars(value)  # whether lr_init was given, too


@pytest.mark.spec("K8")
def test_without_the_allowance_torch_names_the_class() -> None:
    with pytest.raises(pickle.UnpicklingError, match=r"thunder_policy\.mapping\.Switch"):
        through_disk(Switch({0: 0.1}))


@pytest.mark.spec("K8")
@pytest.mark.usefixtures("allowed")
def test_a_callable_of_somebody_s_own_is_allowed_beside() -> None:
    policy = Schedule(Doubled(0.1)).in_steps(3)
    with pytest.raises(pickle.UnpicklingError, match="Doubled"):
        through_disk(policy)
    with torch.serialization.safe_globals([Doubled]):
        assert through_disk(policy).lr_at(7) == policy.lr_at(7) == [0.4]


class Doubled:
    def __init__(self, start: float) -> None:
        self.start = start

    def __call__(self, epoch: int) -> float:
        return self.start * 2.0**epoch


class Named(Switch):
    def __init__(self, name: str) -> None:
        super().__init__({0: 0.1})
        self.name = name


@pytest.mark.spec("K8")
def test_a_pickle_is_class_and_arguments() -> None:
    def of(policy: Policy) -> Any:
        return policy.__reduce_ex__(4)

    assert of(Switch({0: 1})) == (Switch, ({0: 1.0},), None)
    assert of(Scale(half, 0.1)) == (Scale, (half, 0.1), None)
    assert of(Switch({0: 1}, option="momentum", on_load="override")) == (
        Switch,
        ({0: 1.0}, None),
        {"option": "momentum", "on_load": "override"},
    )
    assert of(copy.copy(bound.Switch(sgd(0.1), {0: 1}))) == (Switch, ({0: 1.0},), None)
    policy = pickle.loads(pickle.dumps(Named("one")))  # a subclass has arguments of its own
    assert (type(policy), policy.name, policy.mapping) == (Named, "one", {0: 0.1})


def half(epoch: int) -> float:
    return 0.5**epoch


@pytest.mark.spec("K8")
def test_every_class_of_the_package_is_allowed() -> None:
    named = {getattr(schedules, name) for name in schedules.__all__ if name != "warmup"}
    assert named < {*safe_globals()}
    assert {Switch, Multiply, Schedule, Scale} < {*safe_globals()}


@pytest.mark.spec("K9")
def test_where_one_that_is_bound_is_saved_a_warning_says_that_its_optimizer_is_too() -> None:
    optimizer = sgd(0.1)
    for policy in (Switch({0: 0.1})(optimizer), bound.Switch(optimizer, {0: 0.1}), Other()):
        policy.set_optimizer(optimizer)
        said = rf"{type(policy).__name__} is bound, so it is saved with its optimizer.*copy\.copy"
        with pytest.warns(UserWarning, match=said) as caught:
            torch.save({"hparams": {"policy": policy}}, io.BytesIO())
        assert len(caught) == 1
        # Who copies, or sends it to another process, wants both.
        copy.deepcopy(policy)
        pickle.dumps(policy)
        for unbound in (copy.copy(policy), policy.state_dict()):
            torch.save(unbound, io.BytesIO())


class Other(Policy):
    def get_lr(self) -> list[Any]:
        return [*self.base_lrs]


# Annotations


@pytest.mark.spec("F4")
@pytest.mark.parametrize("module", [thunder_policy, bound], ids=lambda module: module.__name__)
@pytest.mark.parametrize("name", bound.__all__)
def test_a_tool_finds_plain_types(module: Any, name: str) -> None:
    hints = typing.get_type_hints(getattr(module, name).__init__)
    mapping: Any = Mapping[int, float] | Sequence[Mapping[int, float]]
    call = Callable[[int], float]
    if name in ("Schedule", "Scale"):
        mapping = call | Sequence[call | None]
    assert hints.pop("optimizer", torch.optim.Optimizer) is torch.optim.Optimizer
    assert hints.pop("last_epoch", int) is int
    assert hints == {
        "mapping": mapping,
        "lr_init": float | Sequence[float] | None,
        "option": str,
        "on_load": typing.Literal["restore", "override"],
        "return": type(None),
    }


@pytest.mark.spec("F4")
def test_those_of_plateau_and_of_each_schedule_are_plain_too() -> None:
    call = Callable[[int], float]
    hints = typing.get_type_hints(Plateau.__init__)
    assert hints["policy"] == Schedule | Scale | call
    assert hints["min_lr"] == float | Sequence[float]
    assert hints["patience"] is hints["cooldown"] is int
    for name in schedules.__all__:
        one = getattr(schedules, name)
        hints = typing.get_type_hints(one)
        assert {*hints} >= {*inspect.signature(one).parameters}


@pytest.mark.spec("F4")
def test_a_signature_has_types_and_is_that_of_the_constructor() -> None:
    for cls in (Switch, Schedule, bound.Scale, Plateau):
        hints = typing.get_type_hints(cls.__init__)
        parameters = inspect.signature(cls).parameters
        assert {name: one.annotation for name, one in parameters.items()} | {
            "return": type(None)
        } == hints
        assert inspect.signature(cls).return_annotation is cls
    assert [*inspect.signature(Named).parameters] == ["name"]
    assert [*inspect.signature(Switch({0: 1})).parameters] == ["optimizer", "last_epoch"]

    class Imported(Switch):
        def __init__(self, name: OfAChecker) -> None:  # type: ignore[name-defined]  # noqa: F821
            pass

    signature = inspect.signature(Imported)
    assert signature.parameters["name"].annotation == "OfAChecker"
    assert signature.return_annotation is Imported


@pytest.mark.spec("F4")
def test_the_aliases_are_plain_types() -> None:
    assert aliases.EpochMapping == Mapping[int, float]
    assert aliases.ScheduleFn == Callable[[int], float]
    assert aliases.InitialLR == float | Sequence[float] | None
    for name in ("EpochMapping", "InitialLR", "ScheduleFn"):
        assert getattr(thunder_policy, name) is getattr(aliases, name)


# What configurations hold


@pytest.mark.spec("C6")
def test_any_sequence_of_a_configuration_will_do() -> None:
    assert Switch(deque([{0: 0.1}, {0: 0.2}]), deque([1, 2])) == Switch(
        [{0: 0.1}, {0: 0.2}], [1.0, 2.0]
    )


@pytest.mark.spec("C14", "C3", "C5")
@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: Switch(json.loads('{"0": 0.1}')),
            r"Switch: mapping: the epoch must be an integer, not '0' \(str\).*JSON.*parse",
        ),
        (
            lambda: Piecewise(json.loads('{"0": 0.1}')),
            r"Piecewise: points must be one real number, not '0' \(str\).*JSON.*parse",
        ),
        (
            lambda: Switch({0: "1e-3"}),  # type: ignore[arg-type]
            r"Switch: mapping: the value at epoch 0 .* not '1e-3' \(str\).* 1\.0e-3",
        ),
        (
            lambda: Multiply({0: 0.1}, lr_init="1e-3"),  # type: ignore[arg-type]
            r"Multiply: lr_init must be one real number, not '1e-3' \(str\).* 1\.0e-3",
        ),
        (
            lambda: Cosine("1e-3", 0, 90),  # type: ignore[arg-type]
            r"Cosine: start must be one real number, not '1e-3' \(str\).* 1\.0e-3",
        ),
        (
            lambda: Switch("{0: 0.1}"),  # type: ignore[arg-type]
            r"Switch: mapping must be .* not '{0: 0.1}' \(str\): thunder_policy\.parse",
        ),
        (
            lambda: Schedule("Constant(0.1)"),  # type: ignore[arg-type]
            r"Schedule: mapping must be .* \(str\): thunder_policy\.parse",
        ),
        (
            lambda: Scale([{"start": 1}]),  # type: ignore[list-item]
            r"Scale: mapping\[0\] must be a callable .*in Hydra write _convert_: all",
        ),
        (
            lambda: Plateau("Constant(0.1)"),  # type: ignore[arg-type]
            r"Plateau: policy must be .* \(str\): thunder_policy\.parse",
        ),
    ],
    ids=named,
)
def test_text_in_a_configuration_is_an_error_with_its_cure(
    make: Callable[[], object], message: str
) -> None:
    with pytest.raises(TypeError, match=message):
        make()


@pytest.mark.spec("C14")
@pytest.mark.parametrize("value", [True, None, 1j, b"1"], ids=repr)
def test_what_is_no_text_gets_no_such_advice(value: Any) -> None:
    for mapping in ({value: 1}, {0: value}, value):
        with pytest.raises(TypeError) as caught:
            Switch(mapping)
        assert "YAML" not in str(caught.value)
        assert "parse" not in str(caught.value)
    with pytest.raises(TypeError, match=r"not 'high' \(str\)$"):
        Switch({0: "high"})  # type: ignore[arg-type]


@pytest.mark.spec("F5")
@given(policies | anything)
def test_a_value_is_dumped_as_text_that_is_read_back(value: Any) -> None:
    assume(has_text(value))
    assert as_text(value) == repr(value)


@pytest.mark.spec("F5")
@pytest.mark.parametrize(
    ("value", "message"),
    [
        (Schedule(half), ": column 18: "),
        (Switch({0: 0.1})(sgd(0.1)), " as the same: is it bound?"),
        (Constant(1).then(Constant(2), at=10**19), ": column 64: a number here is too large"),
    ],
    ids=["a callable", "bound", "too large"],
)
def test_what_has_no_text_is_not_dumped(value: Any, message: str) -> None:
    with pytest.raises(ValueError, match="no text") as caught:
        as_text(value)
    said = f"{short(value)} has no text that parse reads{message}"
    assert str(caught.value)[: len(said)] == said


def test_a_schedule_is_no_policy_by_type() -> None:
    assert not isinstance(parse("Constant(1)"), Policy)
    assert isinstance(parse("Constant(1)"), ScheduleFunction)
