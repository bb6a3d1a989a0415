"""Record the states that older packages save, and the lrs at which their runs go on.

The package is one of those that are no dependency of the tests, so this is run by hand, beside
thunder 0.0.1, or a checkout of version 0.1.0:

    python benchmarks/record_states.py thunder.policy tests/data/states_of_the_original.json
    python benchmarks/record_states.py thunder_policy tests/data/states_of_0_1_0.json
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import torch

EPOCHS = 7
SAVED = (1, 3)
POLICIES = (
    "Switch({1: 0.5, 4: 0.25}, 1e-3)",
    "Switch({0: 0.5, 4: 1}, 1)",
    "Switch({}, 0.5)",
    "Switch([{}, {4: 0.125}], 0.5)",
    "Multiply({1: 0.7, 4: 0.3}, 0.5)",
    "Multiply([{1: 0.7}, {4: 0.3}], [0.5, 1])",
    "Schedule(cos)",
    "Schedule([cos, exp], [0.5, 1])",
)
LATER = ("Multiply({1: 0.7, 4: 0.3}, None)",)  # what 0.1.0 knows beside these
KEYS = ("lr", "initial_lr")  # of the optimizer's state


def tensor(lr: float) -> torch.Tensor:
    """Make a lr of a dtype that holds it exactly."""
    return torch.tensor(lr, dtype=torch.float64)


HELD: dict[str, Callable[[], list[Any]]] = {
    "floats": lambda: [0.5, 0.25],
    "a tensor": lambda: [0.5, tensor(0.25)],
    "tensors": lambda: [tensor(0.5), tensor(0.25)],
}


def optimizer_of(*lrs: Any) -> torch.optim.SGD:
    """Make an optimizer with a group for each lr."""
    groups = [{"params": [torch.nn.Parameter(torch.zeros(1))], "lr": lr} for lr in lrs]
    return torch.optim.SGD(groups, lr=0.1)


def record(module: Any, text: str, held: str, is_changed: bool) -> dict[str, Any]:
    """Run a policy, and return its states as text, and the lr of each group at each epoch."""
    names = {**vars(module), "cos": math.cos, "exp": math.exp}
    optimizer = optimizer_of(*HELD[held]())
    policy = eval(text, names)(optimizer)
    lrs, states = [], {}
    for epoch in range(EPOCHS):
        if epoch == SAVED[0] and is_changed:
            for group in optimizer.param_groups:  # by somebody else
                group["lr"] = group["lr"] * 0.5
        lrs.append([float(group["lr"]) for group in optimizer.param_groups])
        if epoch in SAVED:
            groups = [{key: group[key] for key in KEYS} for group in optimizer.param_groups]
            states[epoch] = repr({"policy": policy.state_dict(), "groups": groups})
        optimizer.step()
        policy.step()
    return {"policy": text, "held": held, "states": states, "lrs": lrs}


def main(name: str, path: str) -> None:
    """Record what a module saves."""
    torch.set_printoptions(precision=17)
    is_original = name == "thunder.policy"  # what others change, only the optimizer's state has
    cases = [
        record(import_module(name), text, held, is_changed=not is_original)
        for text in (POLICIES if is_original else POLICIES + LATER)
        for held in (["floats"] if is_original else HELD)
    ]
    made = {"command": f"python benchmarks/record_states.py {name} {path}", "cases": cases}
    made["torch"] = torch.__version__
    Path(path).write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
