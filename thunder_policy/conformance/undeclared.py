"""What a subject needs and does not declare: an error that says what to write."""

from __future__ import annotations

import re
import warnings
from typing import Any

from hypothesis.strategies import SearchStrategy

from ..messages import said
from .isolation import isolated
from .runs import sgd
from .subject import Subject

# What a step raises that has come to the end of a table, or of a run of a known length.
_END = re.compile(r"IndexError|StopIteration|(?i:tried to step|total (number of )?(steps|epochs))")
_METRIC = re.compile(r"TypeError: .*step\(\) missing .*argument|(?i:\bmetrics?\b)")
# What a binding raises that asks its optimizer for more than SGD without momentum has.
_OPTIMIZER = re.compile(r"(?i)\bSGD\b|optimizer must|KeyError: '(momentum|betas)'")


class UndeclaredNeed(TypeError):
    """A subject needs something that it does not declare."""


def check_needs(subject: Subject) -> None:
    """Bind and step a subject once, and see whether it asks for what it can declare.

    Whatever else goes wrong, the laws say.

    Raises:
        UndeclaredNeed: If it asks for another optimizer, for a metric, or for an end of the run.

    Example:
        >>> from functools import partial
        >>> from torch.optim.lr_scheduler import OneCycleLR
        >>> check_needs(Subject(partial(OneCycleLR, max_lr=0.1, total_steps=10), epochs=10))
    """
    if isinstance(subject.factory, SearchStrategy):
        return
    with isolated(subject.factory), subject.assumed(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = subject.make()
        optimizer = sgd(subject.layouts()[0], made)
        try:
            scheduler: Any = made(optimizer)
        except Exception as error:
            if subject.optimizer is None and _OPTIMIZER.search(said(error)):
                raise UndeclaredNeed(
                    f"binding asks for another optimizer than SGD ({said(error)}): give "
                    "Subject(..., optimizer=...), which makes one of param groups (--optimizer)"
                ) from error
            return
        for epoch in range(1, subject.epochs + 1):
            optimizer.step()
            try:
                scheduler.step()
            except Exception as error:
                if subject.metrics is None and _METRIC.search(said(error)):
                    raise UndeclaredNeed(
                        f"its step asks for a metric ({said(error)}): give "
                        "Subject(..., metrics=...), one for each step"
                    ) from error
                if epoch > 1 and _END.search(said(error)):
                    raise UndeclaredNeed(
                        f"it ends after {epoch - 1} steps ({said(error)}): give "
                        f"Subject(..., epochs={epoch - 1}) (--epochs)"
                    ) from error
                return
