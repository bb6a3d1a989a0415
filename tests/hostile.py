"""What the fuzz tests are made of: values written as text, objects that misbehave, and a watch.

A value is drawn as the text of a Python expression and made anew by `value`. So a failure prints
what to type, nothing that misbehaves is in Hypothesis's hands, and a find is kept as a line.
"""

from __future__ import annotations

import itertools
import re
import signal
import sys
import types
from collections import OrderedDict, UserDict, UserList, deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from decimal import Decimal
from fractions import Fraction
from types import MappingProxyType
from typing import Any

import numpy as np
import torch
from helpers import Halving, reciprocal, sgd
from hypothesis import settings
from hypothesis import strategies as st

import thunder_policy
from thunder_policy import UnboundPolicyError, schedules


def words(text: str) -> list[str]:
    """Return the words of a text: shorter than a list of them, a line each."""
    return text.split()


# Objects that misbehave


class Theirs(Exception):
    """An exception of somebody else's."""


class Leaving(BaseException):
    """One that `except Exception` lets pass, as it does KeyboardInterrupt."""


# What the objects of `hostile` have raised since the last `outcome` began.
RAISED: list[BaseException] = []

VALUES: dict[type, tuple[Any, ...]] = {
    **dict.fromkeys((int, float, Fraction), (1,)),
    **dict.fromkeys((list, tuple), ([0.5],)),
    **dict.fromkeys((dict, OrderedDict, UserDict), ({1: 0.5},)),
    str: ("1",),
    object: (),
}
METHODS = words(
    """
    __float__ __int__ __index__ __bool__ __abs__ __neg__ __lt__ __le__ __gt__ __ge__ __eq__
    __ne__ __hash__ __repr__ __str__ __len__ __iter__ __reversed__ __getitem__ __contains__
    __getattr__ __getattribute__ __class__ __call__ __copy__ __deepcopy__ __reduce_ex__
    __array__ __mul__ __rmul__ __add__ __radd__ __instancecheck__ __torch_function__ shape item
    dtype keys values items get copy ndim numel detach is_floating_point
    """
)
PROPERTIES = {"__class__", "shape", "dtype", "ndim"}


def hostile(base: type, *names: str, raises: type[BaseException] = Theirs) -> Any:
    """Make an object some of whose methods and properties raise."""

    def bad(*args: object, **kwargs: object) -> Any:
        RAISED.append(error := raises("theirs"))
        raise error

    members = {name: property(bad) if name in PROPERTIES else bad for name in names}
    return filled(base, type("Hostile", (base,), members))


def lying(base: type, name: str, answer: Any) -> Any:
    """Make an object one of whose methods answers what it should not."""
    return filled(base, type("Lying", (base,), {name: lambda *args: answer}))


def filled(base: type, kind: type) -> Any:
    """Make an object of a class by the methods of its base, as its own misbehave."""
    made = base.__new__(kind, *VALUES[base])
    if base is UserDict:
        object.__setattr__(made, "data", {1: 0.5})
    elif base in (list, dict, OrderedDict):
        base.__init__(made, *VALUES[base])
    return made


class Pairs(Mapping[Any, Any]):
    """A mapping whose keys need not be hashable, nor different."""

    def __init__(self, *pairs: tuple[Any, Any]) -> None:
        self.pairs = pairs

    def __getitem__(self, key: Any) -> Any:
        return next(value for one, value in self.pairs if one is key)

    def __iter__(self) -> Iterator[Any]:
        return (key for key, _ in self.pairs)

    def __len__(self) -> int:
        return len(self.pairs)

    def __repr__(self) -> str:
        return f"Pairs of {len(self.pairs)}"


def deep(kind: Callable[[list[Any]], Any] = list, depth: int = 100_000) -> Any:
    """Nest a list in lists, or another container in its kind."""
    inside: Any = kind([])
    for _ in range(depth):
        inside = kind([inside])
    return inside


def endless(kind: type) -> Any:
    """Make a container that contains itself."""
    inside = kind()
    inside.update({1: inside}) if isinstance(inside, dict) else inside.append(inside)
    return inside


def mapping(*pairs: tuple[Any, Any]) -> Mapping[Any, Any]:
    """Make a dict of these, if their keys allow it."""
    try:
        return dict(pairs)
    except BaseException:
        return Pairs(*pairs)


NAMES: dict[str, Any] = {
    **vars(thunder_policy),
    **{name: getattr(schedules, name) for name in schedules.__all__},
    **{kind.__name__: kind for kind in (Decimal, Fraction, Halving, OrderedDict, Pairs, UserDict)},
    **{kind.__name__: kind for kind in (UserList, deque)},
    **{kind.__name__: kind for kind in (Theirs, Leaving)},
    **{made.__name__: made for made in (hostile, lying, deep, endless, mapping, reciprocal, sgd)},
    "MappingProxyType": MappingProxyType,
    "count": itertools.count,
    "inf": float("inf"),
    "nan": float("nan"),
    "np": np,
    "torch": torch,
    "types": types,
}


def value(text: str, **names: Any) -> Any:
    """Make the value that a text stands for, in which these names may stand too."""
    return eval(text, {**NAMES, **names})


# Texts of values

TENSORS = [
    f"torch.{make}"
    for make in (
        "tensor(0.5)",
        "tensor(0.25, dtype=torch.float64)",
        "tensor(0.5, dtype=torch.float16)",
        "tensor(0.5, dtype=torch.bfloat16)",
        "tensor(0.0)",
        "tensor(-0.0)",
        "tensor(-1.0)",
        "tensor(5e-324, dtype=torch.float64)",
        "tensor(nan)",
        "tensor(inf)",
        "tensor(0.5, requires_grad=True)",
        "nn.Parameter(torch.tensor(0.5))",
        "tensor(1)",
        "tensor(2**64 - 1, dtype=torch.uint64)",
        "tensor(1, dtype=torch.int8)",
        "tensor(True)",
        "tensor(1j)",
        "tensor(0.5 + 0j)",
        "tensor(0.5, device='meta')",
        "ones(1, device='meta')",
        "ones(1)",
        "ones(1, 1, dtype=torch.float64)",
        "ones(2)",
        "ones(2, 2)",
        "ones(0)",
        "ones(1).expand(3)",
        "arange(4.0)[2]",
        "ones(2, dtype=torch.int64)",
        "tensor(0.5).to_sparse()",
        "ones(2).to_sparse()",
        "nested.nested_tensor([torch.ones(1)])",
        "quantize_per_tensor(torch.tensor(0.5), 0.1, 0, torch.quint8)",
    )
]
ARRAYS = [
    f"np.{make}"
    for make in (
        "int64(3)",
        "uint8(1)",
        "float16(0.5)",
        "float32(0.5)",
        "float64(0.5)",
        "longdouble('1e4000')",
        "float32('nan')",
        "bool_(True)",
        "complex64(1)",
        "array(0.5)",
        "array(1)",
        "array([0.5])",
        "array([0.5, 0.25])",
        "array([])",
        "array([[0.5]])",
        "array(Fraction(1, 2), dtype=object)",
        "array(None, dtype=object)",
        "array('0.5')",
        "array([1, 'a'], dtype=object)",
        "zeros((), dtype=[('lr', float)])",
        "datetime64('2020-01-01')",
        "timedelta64(1, 'D')",
        "str_('0.5')",
        "void(b'1')",
        "ma.array([0.5], mask=[False])",
    )
]
ODD = re.split(
    r"\s*[|\n]\s*",
    """
    None|True|False|...|NotImplemented|''|'0.5'|'1'|'nan'|b'1'|bytearray(b'1')|object()|object|float
    1j|complex(nan)|-0.0|5e-324|1e-400|1.8e308|-1e-9|nan|inf|-inf|-1|0|1|10.0|2**31|2**53 + 1|2**63
    2**64|-(2**63)|10**18|10**400|-(10**400)|10**5000|Fraction(1, 2)|Fraction(-1, 3)
    Fraction(10**400)|Fraction(1, 10**400)|Decimal('0.5')|Decimal('NaN')|Decimal('sNaN')
    Decimal('Infinity')|Decimal('1e999')|Decimal('1e-999')|range(3)|range(0)|{1}|frozenset({1})
    slice(1)|count()|iter([0.5])|(x for x in [0.5])|map(float, '12')|types|len|reciprocal
    lambda epoch: None|lambda: 1|print|deep()|deep(tuple)|deep(lambda x: dict(enumerate(x)), 900)
    [[[]]]|endless(list)|endless(dict)|endless(deque)|[]|()|{}|[{}]|[[]]|[None]|deque([0.5])
    UserList([0.5])|UserDict({1: 0.5})|OrderedDict({1: 0.5})|MappingProxyType({1: 0.5})
    Pairs((1, 0.5))|Pairs((1, 0.5), (1, 0.5))|memoryview(b'1')|types.SimpleNamespace()
    sgd(0.1)|sgd(0.1).param_groups|torch.nn.Linear(1, 1)|torch.float32|torch.device('cpu')
    Switch({1: 0.5})|Switch|Schedule(reciprocal)|Halving()|Constant(0.1)|Cosine(1.0, 0.0, 9)
    """.strip(),
)
LYING = [
    f"lying({base}, {name!r}, {answer})"
    for base, name, answer in (
        ("int", "__float__", "'x'"),
        ("int", "__float__", "nan"),
        ("int", "__lt__", "True"),
        ("int", "__lt__", "None"),
        ("int", "__hash__", "0"),
        ("int", "__eq__", "False"),
        ("int", "__index__", "'x'"),
        ("float", "__float__", "inf"),
        ("float", "__float__", "0.5"),
        ("float", "__eq__", "torch.ones(2)"),
        ("float", "__lt__", "np.ones(2)"),
        ("Fraction", "__float__", "1"),
        ("list", "__len__", "3"),
        ("list", "__len__", "0"),
        ("list", "__iter__", "iter(())"),
        ("list", "__bool__", "False"),
        ("list", "__getitem__", "None"),
        ("tuple", "__iter__", "None"),
        ("dict", "__iter__", "iter((7,))"),
        ("dict", "items", "3"),
        ("dict", "items", "((1, 2, 3),)"),
        ("dict", "values", "()"),
        ("dict", "keys", "None"),
        ("dict", "__len__", "10**3"),
        ("dict", "get", "None"),
        ("UserDict", "__getitem__", "nan"),
        ("object", "__class__", "float"),
        ("object", "__call__", "nan"),
        ("object", "__float__", "0.5"),
        ("object", "__index__", "1"),
        ("object", "shape", "()"),
        ("object", "__repr__", "'a\\n' * 10**5"),
        ("object", "__len__", "1"),
        ("object", "__iter__", "count()"),
        ("object", "__hash__", "2**80"),
    )
]
KINDS = words(
    """
    Theirs Theirs Theirs Leaving KeyError StopIteration OverflowError MemoryError AttributeError
    RecursionError ZeroDivisionError RuntimeError NotImplementedError TypeError ValueError
    """
)

hostiles = st.builds(
    "hostile({}, {}, raises={})".format,
    st.sampled_from(sorted(base.__name__ for base in VALUES)),
    st.lists(st.sampled_from(METHODS), min_size=1, max_size=3).map(lambda names: str(names)[1:-1]),
    st.sampled_from(KINDS),
)
fitting = st.sampled_from(["0.5", "0", "1", "1e-3", "0.25", "np.float64(0.5)", "Fraction(1, 2)"])
leaves = st.one_of(
    fitting,
    st.sampled_from(ODD),
    st.sampled_from(TENSORS),
    st.sampled_from(ARRAYS),
    st.sampled_from(LYING),
    hostiles,
    st.floats().map(repr),
    st.integers().map(repr),
    st.text(max_size=3).map(repr),
)
keys = st.integers(0, 9).map(repr) | leaves


def joined(start: str, parts: st.SearchStrategy[str], end: str) -> st.SearchStrategy[str]:
    return st.lists(parts, max_size=3).map(lambda texts: f"{start}{''.join(texts)}{end}")


def containers(inner: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """Texts of lists, tuples and mappings of what `inner` draws."""
    pairs = st.builds("({}, {}),".format, keys, inner)
    return st.one_of(
        joined("[", inner.map("{},".format), "]"),
        joined("tuple([", inner.map("{},".format), "])"),
        joined("mapping(", pairs, ")"),
        joined("Pairs(", pairs, ")"),
        joined("MappingProxyType(mapping(", pairs, ") or {})"),
        joined("[", st.builds("[{}, {}],".format, keys, inner), "]"),
        inner.map("deque([{}])".format),
    )


anything = leaves | st.recursive(leaves, containers, max_leaves=6)
"""The text of any value at all; one may take more than one line to print."""
epochs = st.integers(0, 5).map(repr) | keys
mappings = st.one_of(
    st.dictionaries(st.integers(0, 9), st.floats(0, 10), max_size=3).map(repr),
    st.sampled_from(["reciprocal", "np.cos", "[reciprocal, reciprocal]", "[{1: 0.5}, {2: 0.25}]"]),
    joined("mapping(", st.builds("({}, {}),".format, epochs, fitting | leaves), ")"),
    joined("[", st.just("{1: 0.5},") | anything.map("{},".format), "]"),
    anything,
)
lr_inits = fitting | st.sampled_from(["None", "[0.5, 0.25]", "(0.5,)"]) | anything


# The watch

DOCUMENTED = (TypeError, ValueError, UnboundPolicyError)
SECONDS = 10
_seen: list[tuple[str, tuple[Any, ...]]] | None = None


def _note(event: str, arguments: tuple[Any, ...]) -> None:
    if _seen is not None:
        _seen.append((event, arguments))


sys.addaudithook(_note)  # there is no taking it away again


@contextmanager
def audited() -> Iterator[list[tuple[str, tuple[Any, ...]]]]:
    """Note what Python's audit events say of the block: what is compiled, imported, opened, run."""
    global _seen
    _seen = []
    events: list[tuple[str, tuple[Any, ...]]] = []
    try:
        yield events
    finally:
        events += _seen
        _seen = None


@contextmanager
def soon() -> Iterator[None]:
    """Fail where the block takes so long that it hangs."""

    def late(*_: object) -> None:
        raise AssertionError(f"it takes more than {SECONDS} seconds")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, SECONDS)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def outcome(
    call: Callable[..., Any], *arguments: Any, also: tuple[type[Exception], ...] = ()
) -> tuple[BaseException | None, Any]:
    """Return what a call raises, and what it returns.

    What it raises is of a documented type, or is the very object that somebody else's code raised.
    """
    expected: tuple[type[Exception], ...] = (*DOCUMENTED, *also)
    RAISED.clear()
    try:
        with soon():
            return None, call(*arguments)
    except expected as error:
        return error, None
    except BaseException as error:
        if not any(error is theirs for theirs in RAISED):
            raise
        return error, None


def is_finite(lrs: Sequence[Any]) -> bool:
    """Tell whether all these lrs are finite numbers."""
    return all(torch.isfinite(torch.as_tensor(lr, dtype=torch.float64)).all() for lr in lrs)


def effort(share: int) -> settings:
    """Give a property its share: some examples each time, and 2,000 for each nightly."""
    examples = settings.default.max_examples  # type: ignore[union-attr]
    return settings(max_examples=share * (examples if examples > 100 else 30))
