"""torch.compile of the training step, and CUDA graphs: a new lr does not make either anew."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from runs import (
    BATCHES,
    LR,
    POLICIES,
    STEPS,
    Run,
    check_same,
    every_policy,
    expected,
    lrs,
    make_batches,
    make_model,
    make_optimizer,
)
from torch import Tensor

from thunder_policy import Policy

pytestmark = [
    pytest.mark.slow,
    pytest.mark.spec("B18", "T11"),
    # torch's compiler uses torch.jit, which torch deprecates.
    pytest.mark.filterwarnings(r"ignore:`torch\.jit\.\w+` is deprecated:DeprecationWarning"),
]

MakePolicy = Callable[[], Policy]

needs_compiler = pytest.mark.skipif(
    not (shutil.which("g++") or shutil.which("clang++")), reason="Inductor needs a C++ compiler"
)
TENSOR = torch.tensor(LR, dtype=torch.float64)


@pytest.fixture(autouse=True)
def _fresh_compiler() -> Iterator[None]:
    yield
    torch.compiler.reset()
    torch.compiler.set_stance("default")


def train(
    make: MakePolicy,
    steps: range,
    path: Path,
    resume: bool = False,
    backend: str = "aot_eager",
    lr: float | Tensor = TENSOR,
) -> Run:
    """Train with a compiled step, as in a new process."""
    torch.compiler.reset()
    torch.compiler.set_stance("default")
    model = make_model(seed=int(resume))
    optimizer = make_optimizer(model, lr)
    policy = make()(optimizer)
    if resume:
        checkpoint = torch.load(path, weights_only=True)
        model.load_state_dict(checkpoint["model"])
        optimizer.load_state_dict(checkpoint["optimizer"])
        policy.load_state_dict(checkpoint["policy"])

    @torch.compile(backend=backend)
    def loss_of(inputs: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = (model(inputs) - targets).square().mean()
        return loss

    @torch.compile(backend=backend)
    def step() -> None:
        optimizer.step()

    batches, run = make_batches(), Run()
    for i in steps:
        if i == steps.start + 1:
            torch.compiler.set_stance("fail_on_recompile")
        optimizer.zero_grad()
        loss_of(*batches[i % BATCHES]).backward()
        run.lrs.append(lrs(optimizer))
        step()
        policy.step()
    torch.compiler.set_stance("default")
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "policy": policy}
    torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    return run.finish(model)


@pytest.mark.parametrize(
    ("name", "backend"),
    [
        *((name, "aot_eager") for name in ("Multiply", "a list", "custom")),
        pytest.param("Schedule", "inductor", marks=needs_compiler),
    ],
)
def test_a_change_of_a_tensor_lr_compiles_nothing_again(
    name: str, backend: str, tmp_path: Path
) -> None:
    make, path = POLICIES[name], tmp_path / "checkpoint.pt"
    whole = train(make, range(STEPS), path, backend=backend)
    first = train(make, range(5), path, backend=backend)
    rest = train(make, range(5, STEPS), path, resume=True, backend=backend)

    check_same(whole, first, rest)
    assert whole.lrs == expected(make())


def test_a_change_of_a_float_lr_does(tmp_path: Path) -> None:
    """pytorch#120934: the lr has become a constant of the compiled step."""
    with pytest.raises(RuntimeError, match="recompile"):
        train(POLICIES["Switch"], range(STEPS), tmp_path / "checkpoint.pt", lr=LR)


# CUDA graphs: what is replayed reads the lr from the tensor that it was captured with.


def train_on_gpu(
    make: MakePolicy, steps: range, path: Path, resume: bool = False, graph: bool = True
) -> Run:
    """Train with replays of one captured step, or without a graph."""
    model = make_model(seed=int(resume)).cuda()
    start = {name: value.clone() for name, value in model.state_dict().items()}
    optimizer = make_optimizer(model, torch.tensor(LR, device="cuda"), capturable=True)
    batches = [(inputs.cuda(), targets.cuda()) for inputs, targets in make_batches()]
    inputs, targets = (part.clone() for part in batches[0])

    def step() -> None:
        (model(inputs) - targets).square().mean().backward()
        optimizer.step()

    # What is captured has to have run before, on a stream of its own; then back to the start.
    stream = torch.cuda.Stream()
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(3):
            optimizer.zero_grad()
            step()
    torch.cuda.current_stream().wait_stream(stream)
    model.load_state_dict(start)
    for state in optimizer.state.values():
        for value in state.values():
            value.zero_()

    policy = make()(optimizer)
    parts: dict[str, Any] = {"model": model, "optimizer": optimizer, "policy": policy}
    if resume:
        checkpoint = torch.load(path, weights_only=True)
        for name, part in parts.items():
            part.load_state_dict(checkpoint[name])

    optimizer.zero_grad()
    captured = torch.cuda.CUDAGraph()
    if graph:
        with torch.cuda.graph(captured):
            step()
    run = Run()
    for i in steps:
        for static, fresh in zip((inputs, targets), batches[i % BATCHES], strict=True):
            static.copy_(fresh)
        run.lrs.append(lrs(optimizer))
        if graph:
            captured.replay()
        else:
            optimizer.zero_grad()
            step()
        policy.step()
    torch.save({name: part.state_dict() for name, part in parts.items()}, path)
    return run.finish(model)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="CUDA graphs need a GPU")
@every_policy
def test_a_replayed_cuda_graph_takes_the_lr_of_its_step(make: MakePolicy, tmp_path: Path) -> None:
    path = tmp_path / "checkpoint.pt"
    whole = train_on_gpu(make, range(STEPS), path)
    first = train_on_gpu(make, range(5), path)
    rest = train_on_gpu(make, range(5, STEPS), path, resume=True)
    eager = train_on_gpu(make, range(STEPS), path, graph=False)

    check_same(whole, first, rest)
    assert whole.lrs == eager.lrs == [pytest.approx(row, rel=1e-6) for row in expected(make())]
    torch.testing.assert_close(whole.weights, eager.weights)
