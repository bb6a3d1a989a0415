"""torch's interface around schedulers of other packages that have one of their own.

It needs torch alone: the programs that confirm a verdict use it, too.
"""

from __future__ import annotations

from typing import Any

from torch.optim.lr_scheduler import LRScheduler


def decay(epoch: int) -> float:
    """Give a factor, for schedulers that take a function: pickle finds it by name."""
    return 1 / (1 + epoch)


class Adapter(LRScheduler):
    """A scheduler inside, which is stepped once for each step from outside."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.optimizer = inner.optimizer
        self.last_epoch = 0

    def step(self, *metric: Any) -> None:
        """Count the epoch, and step the scheduler inside."""
        self.last_epoch += 1
        self.advance(*metric)

    def advance(self, *metric: Any) -> None:
        """Step the scheduler inside, as its package does in a loop."""
        self.inner.step(*metric)

    def get_last_lr(self) -> list[Any]:
        """Return what the groups hold."""
        return [float(group["lr"]) for group in self.optimizer.param_groups]

    def get_lr(self) -> list[Any]:
        """Say that there is none."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Return the epoch, and the state of the scheduler inside, as it gives it."""
        return {"last_epoch": self.last_epoch, "inner": self.inner.state_dict()}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Load both."""
        self.last_epoch = state_dict["last_epoch"]
        self.inner.load_state_dict(state_dict["inner"])


class OfTimm(Adapter):
    """A scheduler of timm, which is told the epoch."""

    def advance(self, *metric: Any) -> None:
        """Step as timm's train.py does at the end of an epoch."""
        self.inner.step(self.last_epoch, *metric)


class OfIgnite(Adapter):
    """A handler of ignite, which sets the value of an event and goes on to the next."""

    def __init__(self, inner: Any, optimizer: Any) -> None:
        self.inner, self.optimizer, self.last_epoch = inner, optimizer, 0
        self.advance()

    def advance(self, *metric: Any) -> None:
        """Call it as an engine does at the start of an iteration."""
        self.inner(None)


class Stateless(Adapter):
    """A scheduler without a state of its own; its attributes are its state, as in torch."""

    def state_dict(self) -> dict[str, Any]:
        """Return its attributes."""
        own = {name: value for name, value in vars(self.inner).items() if name != "optimizer"}
        return {"last_epoch": self.last_epoch, "inner": own}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Set its attributes."""
        self.last_epoch = state_dict["last_epoch"]
        vars(self.inner).update(state_dict["inner"])
