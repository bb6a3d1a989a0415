"""Each error and warning of the core, whole: what was done, and what is said then."""

# ruff: noqa: F401  what is done is text

from __future__ import annotations

import ast
import io
import math
import re
import sys
import traceback
import warnings
from pathlib import Path
from typing import Any, TypeGuard

import numpy as np
import pytest
import torch
from helpers import Halving, advance, parameter, sgd, tensor
from torch.optim import SGD, Adam, Optimizer

import thunder_policy
from thunder_policy import MappingPolicy, Multiply, Plateau, Policy, Scale, Schedule, Switch, bound

# The modules whose texts are below.
CORE = (
    *("aliases", "bound", "by_name", "call_order", "checks", "dry_run", "epochs", "groups"),
    *("mapping", "policy", "state"),
)


class Share(MappingPolicy[Any]):
    """A custom policy with a mapping, of either kind."""

    def get_lr(self) -> list[float]:  # type: ignore[override, unused-ignore]
        return self.base_lrs


class Holding(Halving):
    """A policy that has another one, which is not bound."""

    def __init__(self) -> None:
        self.inner = Halving()


class Wrapper:
    """Something with an optimizer inside."""

    def __init__(self, optimizer: Optimizer) -> None:
        self.optim = optimizer

    def __repr__(self) -> str:
        return "Wrapper(...)"


def group(**options: Any) -> dict[str, Any]:
    """Make a param group."""
    return {"params": [parameter()], **options}


def named(*names: str | None) -> SGD:
    """Make an optimizer with a group of each name, or without one."""
    return SGD([group(name=name) if name else group() for name in names], lr=0.1)


def without_numbers() -> SGD:
    """Make an optimizer whose group has nothing but params."""
    optimizer = sgd()
    optimizer.param_groups[0] = group()
    return optimizer


def trained() -> Adam:
    """Make an optimizer that was stepped."""
    param = parameter()
    param.grad = torch.ones(1)
    optimizer = Adam([param], lr=0.1)
    optimizer.step()
    return optimizer


def nested() -> torch.Tensor:
    """Make a nested tensor, of which torch warns that it may change."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return torch.nested.nested_tensor([torch.ones(1)])


def answering(answer: Any, **attributes: Any) -> Policy:
    """Bind a policy whose get_lr returns something, and that has some attributes."""

    class Answering(Policy):
        def get_lr(self) -> Any:
            return answer

    policy = Answering()
    vars(policy).update(attributes)
    return policy(sgd())


def load(state: Any, policy: Policy | None = None) -> None:
    """Load a state into a policy, or into a Switch."""
    (policy or Switch({0: 0.1}))(sgd()).load_state_dict(state)


# What is done, and what is said: the type of the error or warning, and the whole of its text.
MESSAGES = {
    # Construction: epochs, numbers, mappings
    "Switch({True: 0.1})": (
        "TypeError: Switch: mapping: the epoch must be an integer, not True (bool)"
    ),
    "Switch({10.0: 0.1})": (
        "TypeError: Switch: mapping: the epoch must be an integer, not 10.0 (float)"
    ),
    "Switch({'10': 0.1})": (
        "TypeError: Switch: mapping: the epoch must be an integer, not '10' (str): JSON has no "
        "keys but text; write the whole policy as text there, for thunder_policy.parse"
    ),
    "Switch({'ten': 0.1})": (
        "TypeError: Switch: mapping: the epoch must be an integer, not 'ten' (str)"
    ),
    "Multiply([{}, {-1: 0.1}])": (
        "ValueError: Multiply: mapping[1]: the epoch must be at least 0, not -1"
    ),
    "Switch({0: '1e-3'})": (
        "TypeError: Switch: mapping: the value at epoch 0 must be one real number, not '1e-3' "
        "(str): write it without quotes, and in YAML as 1.0e-3, as 1e-3 is text there; in JSON "
        "each key is, and thunder_policy.parse reads the whole as text"
    ),
    "Switch({0: 'fast'})": (
        "TypeError: Switch: mapping: the value at epoch 0 must be one real number, not 'fast' (str)"
    ),
    "Switch({0: torch.ones(2)})": (
        "TypeError: Switch: mapping: the value at epoch 0 must be one real number, not tensor([1., "
        "1.]) (a tensor)"
    ),
    "Switch({0: torch.empty((), device='meta')})": (
        "TypeError: Switch: mapping: the value at epoch 0 must be one real number, not tensor(..., "
        "device='meta', size=()) (a tensor)"
    ),
    "Switch({0: nested()})": (
        "TypeError: Switch: mapping: the value at epoch 0 must be one real number, not "
        "nested_tensor([ tensor([1.]) ]) (a tensor)"
    ),
    "Multiply([{1: 0.5}, {2: math.nan}])": (
        "ValueError: Multiply: mapping[1]: the value at epoch 2 must be finite, not nan"
    ),
    "Switch({0: 10**400})": (
        "ValueError: Switch: mapping: the value at epoch 0 must fit a float, not "
        "10000000000000000000000000000000000000000000000000000000000000000000000000000..."
    ),
    "Switch({0: 10**5000})": (
        "ValueError: Switch: mapping: the value at epoch 0 must fit a float, not <int that cannot "
        "be printed>"
    ),
    "Switch({0: -0.1})": (
        "ValueError: Switch: mapping: the value at epoch 0 must be at least 0, not -0.1"
    ),
    "Switch({}, lr_init=-1)": "ValueError: Switch: lr_init must be at least 0, not -1",
    "Switch({}, lr_init=[0.1, None])": (
        "TypeError: Switch: lr_init[1] must be one real number, not None (NoneType)"
    ),
    "Switch({}, lr_init=())": (
        "ValueError: Switch: lr_init is an empty tuple: give one a param group"
    ),
    "Switch([])": "ValueError: Switch: mapping is an empty list: give one a param group",
    "Switch(np.array([0.1, 0.2]))": (
        "TypeError: Switch: mapping must be a list, not array([0.1, 0.2]): write .tolist()"
    ),
    "Switch({}, lr_init=torch.ones(2))": (
        "TypeError: Switch: lr_init must be a list, not tensor([1., 1.]): write .tolist()"
    ),
    "Switch({}, lr_init=nested())": (
        "TypeError: Switch: lr_init must be a list, not nested_tensor([ tensor([1.]) ]): write "
        ".tolist()"
    ),
    "Switch('{0: 0.1}')": (
        "TypeError: Switch: mapping must be a mapping from epoch to number, or a sequence with one "
        "a param group, not '{0: 0.1}' (str): thunder_policy.parse makes a policy of text"
    ),
    "Switch([{}, None])": (
        "TypeError: Switch: mapping[1] must be a mapping from epoch to number, not None (NoneType)"
    ),
    "Switch(Switch({}))": (
        "TypeError: Switch: mapping must be a mapping from epoch to number, or a sequence with one "
        "a param group, not Switch(mapping={}, lr_init=0.001) (Switch)"
    ),
    "Switch(math.cos)": (
        "TypeError: Switch: mapping must be a mapping from epoch to number, or a sequence with one "
        "a param group, not <built-in function cos> (builtin_function_or_method): use Schedule or "
        "Scale for a callable"
    ),
    "Switch('x' * 78)": (
        "TypeError: Switch: mapping must be a mapping from epoch to number, or a sequence with one "
        "a param group, not "
        "'xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx' (str): "
        "thunder_policy.parse makes a policy of text"
    ),
    "Schedule({0: 0.1})": (
        "TypeError: Schedule: mapping must be a callable from epoch to number, or a sequence with "
        "one a param group, not {0: 0.1} (dict): use Switch or Multiply for a mapping"
    ),
    "Scale([abs, {'_target_': 'Cosine'}])": (
        "TypeError: Scale: mapping[1] must be a callable from epoch to number, not {'_target_': "
        "'Cosine'} (dict): beside a list of _target_ in Hydra write _convert_: all"
    ),
    "Schedule('Cosine(0.1, total=90)')": (
        "TypeError: Schedule: mapping must be a callable from epoch to number, or a sequence with "
        "one a param group, not 'Cosine(0.1, total=90)' (str): thunder_policy.parse makes a policy "
        "of text"
    ),
    "Schedule(None)": (
        "TypeError: Schedule: mapping must be a callable from epoch to number, or a sequence with "
        "one a param group, not None (NoneType)"
    ),
    "Share(3)": (
        "TypeError: Share: mapping must be a mapping from epoch to number or a callable, or a "
        "sequence with one a param group, not 3 (int)"
    ),
    "Share('{0: 0.1}')": (
        "TypeError: Share: mapping must be a mapping from epoch to number or a callable, or a "
        "sequence with one a param group, not '{0: 0.1}' (str): thunder_policy.parse makes a "
        "policy of text"
    ),
    "Share([{}, {-1: 0.1}])": "ValueError: Share: mapping[1]: the epoch must be at least 0, not -1",
    "Switch([{}, {}], lr_init=[1, 2, 3])": "ValueError: Got 2 mappings and 3 lr_init",
    # The other arguments
    "Switch({}, option=1)": "TypeError: Switch: option must be a string, not 1",
    "Switch({}, on_load='keep')": (
        "ValueError: Switch: on_load must be 'restore' or 'override', not 'keep'"
    ),
    "Switch(sgd())": (
        "TypeError: Switch is made without an optimizer: write Switch({...})(optimizer); "
        "thunder_policy.bound has classes that are given it first"
    ),
    "Plateau(sgd())": (
        "TypeError: Plateau is made without an optimizer: write Plateau(policy)(optimizer); "
        "thunder_policy.bound has classes that are given it first"
    ),
    "bound.Switch({0: 0.1}, sgd())": (
        "TypeError: bound.Switch takes the optimizer first, and not {0: 0.1}: write "
        "bound.Switch(optimizer, ...)"
    ),
    "bound.Switch.by_name({'head': {0: 0.1}})": (
        "TypeError: bound.Switch has no by_name: write Switch.by_name({...})(optimizer)"
    ),
    "Scale(abs).in_steps(0)": "ValueError: Scale: steps_per_epoch must be at least 1, not 0",
    "Scale(abs).in_steps(1.5)": (
        "TypeError: Scale: steps_per_epoch must be an integer, not 1.5 (float)"
    ),
    # Groups by name
    "Schedule.by_name([abs])": (
        "TypeError: Schedule.by_name takes a mapping from the names of groups, not [<built-in "
        "function abs>]"
    ),
    "Schedule.by_name({0: abs})": (
        "TypeError: Schedule.by_name takes a mapping from the names of groups, not {0: <built-in "
        "function abs>}"
    ),
    "Schedule.by_name({})": "ValueError: Schedule.by_name: mapping is empty: give one a name",
    "Switch.by_name({'head': {-1: 0.1}})": (
        "ValueError: Switch.by_name: mapping['head']: the epoch must be at least 0, not -1"
    ),
    "Switch.by_name({'head': None})": (
        "TypeError: Switch.by_name: mapping['head'] must be a mapping from epoch to number, not "
        "None (NoneType)"
    ),
    "Switch.by_name({'head': {}}, lr_init=[0.1])": (
        "ValueError: Switch.by_name: lr_init must be one for all groups, or None"
    ),
    "Switch.by_name({'head': {}, 'body': {}}, 1)(named(None))": (
        "ValueError: Switch: group 0 has no name: write {'params': ..., 'name': ...}, with one of "
        "'head', 'body'"
    ),
    "Switch.by_name({'head': {}, 'body': {}}, 1)(named('head', 'tail'))": (
        "ValueError: Switch: by_name has nothing for group 1, 'tail', but for 'head', 'body'"
    ),
    # Binding
    "Switch({}).step()": (
        "UnboundPolicyError: Switch is not bound to an optimizer: call policy(optimizer) first"
    ),
    "Switch({})(3)": (
        "TypeError: Switch binds to a torch.optim.Optimizer, not to 3 (int): call policy(optimizer)"
    ),
    "Switch({})(Wrapper(sgd()))": (
        "TypeError: Switch binds to a torch.optim.Optimizer, not to Wrapper(...) (Wrapper): call "
        "policy(wrapper.optim), the one inside"
    ),
    "Switch({})(sgd(), last_epoch=-2)": (
        "ValueError: Switch: last_epoch must be at least -1, not -2"
    ),
    "Switch({}).set_optimizer(sgd(), -2)": (
        "ValueError: Switch: last_epoch must be at least -1, not -2"
    ),
    "Switch({}).set_optimizer(sgd(), 0.5)": (
        "TypeError: Switch: last_epoch must be an integer, not 0.5 (float)"
    ),
    "p = Switch({0: 1})(sgd()); p(p.optimizer, -2)": (
        "ValueError: Switch: last_epoch must be at least -1, not -2"
    ),
    "Switch([{}, {}], lr_init=1)(sgd())": "ValueError: Got 2 mappings and 1 param groups",
    "Switch({}, lr_init=[1, 2])(sgd())": "ValueError: Got 2 lr_init and 1 param groups",
    "Switch({}, option='alpha')(sgd())": (
        "ValueError: Switch, group 0: the param group has no alpha; it has lr, momentum, "
        "dampening, weight_decay"
    ),
    "Switch({}, option='alpha')(without_numbers())": (
        "ValueError: Switch, group 0: the param group has no alpha; it has no numbers"
    ),
    "Switch({}, option='nesterov')(sgd())": (
        "ValueError: Switch, group 0: the nesterov must be one real number, not False (bool)"
    ),
    "Switch({0: 1})(sgd(tensor(0.1).requires_grad_()))": (
        "ValueError: Switch at epoch 0, group 0: the lr cannot be written: the group's tensor must "
        "be floating, have one element, not require grad and not be of inference mode, unlike "
        "tensor(0.1000, dtype=torch.float64, requires_grad=True)"
    ),
    "Switch({1: 0.1})(sgd(0.001, 0.2))": (
        "UserWarning: Switch, group 1: lr_init was not given, so it starts from 0.001, and not "
        "from the group's lr, 0.2: give lr_init=None to start from that, or lr_init=1e-3"
    ),
    "Switch({1: 0.1})(SGD([group(lr=0.001), group(initial_lr='x')], 0.1))": (
        "ValueError: Switch, group 1: the lr must be one real number, not 'x' (str)"
    ),
    "Schedule([abs, None], 0.5)(sgd(0.1, 'x'))": (
        "ValueError: Schedule, group 1: the lr must be one real number, not 'x' (str)"
    ),
    "Multiply({1: 0.1}, None)(trained(), last_epoch=0)": (
        "UserWarning: Multiply, group 0: epoch 1 is computed from the group's lr, 0.1, as it has "
        "no initial_lr; and as the optimizer was trained, that may be a lr of a schedule: give "
        "lr_init, or bind before the state of the optimizer is loaded"
    ),
    "p = Switch({0: 1})(sgd()); advance(p, 2); p(p.optimizer)": (
        "UserWarning: Switch is at epoch 2 of this optimizer, and a call takes it back to 0: if "
        "that is meant, write policy.set_optimizer(optimizer); else do not call it again"
    ),
    "p = Switch({0: 1}); one, two = sgd(), sgd(); p(one); p(two); one.step(); advance(p)": (
        "UserWarning: Switch left an optimizer that is trained with all the same, and schedules "
        "the one that it was bound to after it: bind copy.copy(policy) to the second"
    ),
    # lr_at
    "Schedule(abs).lr_at(0.5)": (
        "TypeError: Schedule: the epoch must be an integer, not 0.5 (float)"
    ),
    "Schedule(abs).lr_at(-1)": "ValueError: Schedule: the epoch must be at least 0, not -1",
    "Switch({5: 0.1}, lr_init=None).lr_at(4)": (
        "ValueError: Switch at epoch 4, group 0: the lr depends on the optimizer: call "
        "policy(optimizer) first, or give lr_init"
    ),
    "Halving().lr_at(3)": (
        "ValueError: Halving: the lr depends on where the param groups start: call "
        "policy(optimizer) first, or simulate(policy, ...) for made-up groups"
    ),
    "Halving().lr_at(0.5)": "TypeError: Halving: the epoch must be an integer, not 0.5 (float)",
    "Schedule(lambda epoch: None).lr_at(2)": (
        "TypeError: Schedule at epoch 2, all param groups: the lr must be one real number, not "
        "None (NoneType)"
    ),
    "Scale([abs, lambda epoch: math.inf], lr_init=1).lr_at(2)": (
        "ValueError: Scale at epoch 2, group 1: the lr must be finite, not inf"
    ),
    "Multiply({1: 1e200, 2: 1e200}, lr_init=1).lr_at(2)": (
        "ValueError: Multiply at epoch 2, group 0: the lr must be finite, not inf"
    ),
    "Share({}, lr_init=1)(sgd())._get_closed_form_lr": (
        "AttributeError: Share has a get_lr of its own"
    ),
    # Stepping
    "p = Switch({0: 1})(sgd()); advance(p); p.step(0.5)": (
        "TypeError: Switch: the epoch to step to must be an integer, not 0.5 (float)"
    ),
    "p = Switch({0: 1})(sgd()); advance(p); p.step(-1)": (
        "ValueError: Switch: the epoch to step to must be at least 0, not -1"
    ),
    "p = Switch({0: 1, 1: 1e5})(sgd(tensor(0.5, torch.float16))); advance(p)": (
        "ValueError: Switch at epoch 1, group 0: the lr 100000.0 does not fit the group's tensor, "
        "of torch.float16"
    ),
    "p = Switch([{0: 1}])(sgd()); p.optimizer.add_param_group(group()); advance(p)": (
        "ValueError: Got 1 mappings and 2 param groups"
    ),
    "answering(0.5)": (
        "TypeError: Answering at epoch 0: get_lr() must return a list or another sequence of lrs, "
        "not 0.5 (float)"
    ),
    "answering([0.5, 0.5])": (
        "ValueError: Answering at epoch 0: got 2 lrs from get_lr() and 1 param groups"
    ),
    "answering([None])": (
        "TypeError: Answering at epoch 0, group 0: the lr must be one real number, not None "
        "(NoneType)"
    ),
    # Saving
    "torch.save(Switch({0: 1})(sgd()), io.BytesIO())": (
        "UserWarning: Switch is bound, so it is saved with its optimizer, and all that this holds: "
        "save policy.state_dict(), or copy.copy(policy) for what is written in it alone"
    ),
    "answering([0.5], note=math.cos).state_dict()": (
        "TypeError: Answering.note is <built-in function cos> (builtin_function_or_method), which "
        "torch.load(..., weights_only=True) refuses: leave it out, by prepare_state_dict('note') "
        "in a state_dict() of your own"
    ),
    # Loading: what is no state of this policy
    "load(3)": "TypeError: Switch: a state must be a dict, not 3",
    "load({})": "ValueError: Switch: the state has no last_epoch: is it that of a scheduler?",
    "load({'last_epoch': '3'})": (
        "TypeError: Switch: last_epoch in the state must be an integer, not '3' (str)"
    ),
    "load({'last_epoch': 2**64})": (
        "ValueError: Switch: last_epoch in the state must fit 64 bits, not 18446744073709551616"
    ),
    "load({'last_epoch': 0, 'option': 'momentum'})": (
        "ValueError: Switch: the state is of the option 'momentum', not 'lr'"
    ),
    "load({'last_epoch': 0, 'option': 'momentum'}, Share({}, 1, on_load='override'))": (
        "ValueError: Share: the state is of the option 'momentum', not 'lr'"
    ),
    "load({'last_epoch': 0})": (
        "ValueError: Switch: the state has no _last_lr: is it that of a scheduler?"
    ),
    "load({'last_epoch': 0, '_last_lr': 0.1})": (
        "TypeError: Switch: _last_lr in the state must be a list of lrs, not 0.1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1, 0.2]})": (
        "ValueError: Switch: _last_lr in the state: got 2 lrs and 1 param groups"
    ),
    "load({'last_epoch': 0, '_last_lr': [math.nan]})": (
        "ValueError: Switch: _last_lr in the state, group 0: the lr must be finite, not nan"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], '_step_count': -1})": (
        "ValueError: Switch: _step_count must be at least 0, not -1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], '_policy': 'Schedule'})": (
        "ValueError: Switch: the state is that of a 'Schedule'"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'mapping': [[3, -0.1]]})": (
        "ValueError: Switch: the state's mapping: the value at epoch 3 must be at least 0, not -0.1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'mapping': [[], [[3, -0.1]]]})": (
        "ValueError: Switch: the state's mapping[1]: the value at epoch 3 must be at least 0, not "
        "-0.1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'mapping': [['head', [[3, -0.1]]]]})": (
        "ValueError: Switch: the state's mapping['head']: the value at epoch 3 must be at least 0, "
        "not -0.1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'mapping': [['head', [[0, 0.1]]]]})": (
        "ValueError: Switch: group 0 has no name: write {'params': ..., 'name': ...}, with one of "
        "'head'"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'lr_init': -0.1})": (
        "ValueError: Switch: the state's lr_init must be at least 0, not -0.1"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'lr_init': [0.1, 0.2]})": (
        "ValueError: Got 2 lr_init and 1 param groups"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'optimizer': 0})": (
        "ValueError: Switch: 'optimizer' in the state is no attribute that can be loaded"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], '_known': []})": (
        "ValueError: Switch: '_known' in the state is no attribute that can be loaded"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], '_arguments': ()}, Share({}, 1))": (
        "ValueError: Share: '_arguments' in the state is no attribute that can be loaded"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'on_load': 'override'}, Share({}, 1))": (
        "ValueError: Share: 'on_load' in the state is no attribute that can be loaded"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], '_by_default': True}, Share({}, 1))": (
        "ValueError: Share: '_by_default' in the state is no attribute that can be loaded"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'note': sys}, Halving())": (
        "ValueError: Halving: 'note' in the state cannot be copied: <module 'sys' (built-in)>"
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'inner': {}}, Holding())": (
        "ValueError: Holding: 'inner' in the state is that of a scheduler which is not bound: bind "
        "it first"
    ),
    # Loading: where what is written is not what was saved
    "load({'last_epoch': 0, '_last_lr': [0.1], 'mapping': [[1, 0.25]]})": (
        "UserWarning: Switch: what is written here is not what was saved: mapping was {1: 0.25} "
        "and is {0: 0.1}. What was saved counts; to have what is written here count from now on, "
        'give it on_load="override"'
    ),
    "load({'last_epoch': 0, '_last_lr': [0.1], 'lr_init': 0.5}, Switch({1: 1}, lr_init=0.25))": (
        "UserWarning: Switch: what is written here is not what was saved: lr_init was [0.5] and is "
        "[0.25]. What was saved counts; to have what is written here count from now on, give it "
        'on_load="override"'
    ),
    "load({'last_epoch': 4, '_last_lr': [0.1], '_planned': [0.5]}, Scale(abs))": (
        "UserWarning: Scale: what is written here is not what was saved: the lr at epoch 4 was "
        "[0.5] and is [0.4]. What was saved counts, but for the callables, which are those written "
        "here from the next step on; to have what is written here count from now on, give it "
        'on_load="override"'
    ),
    "load({'last_epoch': 4, '_last_lr': [0.1], '_planned': [math.nan]}, Scale(abs))": (
        "ValueError: Scale: _planned in the state, group 0: the lr must be finite, not nan"
    ),
}


def done(act: str) -> tuple[str, list[traceback.FrameSummary]]:
    """What is said when something is done, a warning being an error here, and from where."""
    try:
        exec(act, {**globals()})
    except Exception as error:
        return f"{type(error).__name__}: {error}", [*traceback.extract_tb(error.__traceback__)]
    return "nothing", []


@pytest.mark.spec(
    *("B6", "B11", "B12", "B14", "B16", "B21", "B23", "C3", "C5", "C6", "C7", "C8", "C9", "C10"),
    *("C12", "C13", "C14", "K9", "N4", "O1", "S2", "S3", "S15", "T9", "T13", "T25", "T27", "T28"),
    *("V12", "V20", "V22"),
)
def test_each_error_and_warning_is_said_in_these_words() -> None:
    assert {act: done(act)[0] for act in MESSAGES} == MESSAGES


@pytest.mark.spec("S2")
def test_each_text_in_the_core_is_said_above() -> None:
    folder = Path(thunder_policy.__file__).parent
    said = [frame for act in MESSAGES for frame in done(act)[1]]
    lines = {(Path(frame.filename), frame.lineno or 0) for frame in said}
    for file in (folder / f"{name}.py" for name in CORE):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if says_something(node):
                within = range(node.lineno, (node.end_lineno or 0) + 1)
                assert any((file, line) in lines for line in within), ast.unparse(node)


def says_something(node: ast.AST) -> TypeGuard[ast.Call | ast.Raise]:
    """Tell whether a piece of code raises or warns, with words that it has itself."""
    warns = isinstance(node, ast.Call) and ast.unparse(node.func) == "warn"
    words = (isinstance(one, ast.Constant) and isinstance(one.value, str) for one in ast.walk(node))
    return (warns or isinstance(node, ast.Raise)) and any(words)


@pytest.mark.spec("C13")
def test_none_of_them_shows_a_private_class() -> None:
    assert not [text for text in MESSAGES.values() if re.search(r"\b_[A-Z]", text)]
