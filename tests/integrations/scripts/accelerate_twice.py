"""Resume runs of accelerate in these processes; report with what lrs they went."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch.distributed as dist
from runs import POLICIES, report
from test_accelerate import resumed

from thunder_policy import MappingPolicy, Policy


def in_steps(make: Callable[[], Policy]) -> Callable[[], Policy]:
    """Count a policy in the steps of both processes."""

    def made() -> Policy:
        policy = make()
        assert isinstance(policy, MappingPolicy)
        return policy.in_steps(2)

    return made


CASES: dict[str, tuple[dict[str, Callable[[], Policy]], dict[str, Any]]] = {
    "as it is": (POLICIES, {}),
    "in steps": ({name: in_steps(POLICIES[name]) for name in POLICIES if name != "custom"}, {}),
    "split batches": (POLICIES, {"split": True}),
    "not with the optimizer": (POLICIES, {"with_optimizer": False}),
}


def main() -> None:
    """Run each policy in each case."""
    folder = Path(sys.argv[1])
    lrs: dict[str, Any] = {}
    for case, (policies, options) in CASES.items():
        lrs[case] = {}
        for name, make in policies.items():
            whole, _, _ = resumed(5, folder / case / name, make, **options)
            lrs[case][name] = whole.run.lrs
    report(lrs)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
