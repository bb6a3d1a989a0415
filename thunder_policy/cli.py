"""The command ``thunder-policy``: look at a policy, check one, say which version this is."""

# pyright: reportUnknownArgumentType=false, reportUnknownMemberType=false
# pyright: reportUnknownVariableType=false

from __future__ import annotations

import argparse
import csv
import io
import json
import math
import os
import re
import string
import sys
import textwrap
from collections.abc import Iterable, Mapping, Sequence
from hashlib import sha256
from importlib import import_module
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torch.optim.lr_scheduler import LRScheduler

from . import __version__
from .checks import cut, short
from .drawing import distinct, draw, finish, group_names, is_stepwise, milestones, wants_log
from .expression import ExpressionError, load
from .messages import said
from .simulate import labels, option, quantity, relative, schedulers, trajectory

OK, FAILED, MISUSED = 0, 1, 2
MAX_VALUES = 10**7
MAX_COUNT = 10**6
MAX_ROWS, MAX_COLUMNS = 20, 5
MAX_POINTS = 500
MAX_NAME = 150
ROUNDING = 1e-9  # lrs that differ by no more are drawn as one
HEIGHT = 18
INSTALL = "pip install matplotlib rich 'plotext>=5.3,<6'"  # what the extras cli and plot have
PICTURES = (".png", ".svg")
# What draws the lines of several groups: distinct without colour, too.
SYMBOLS = string.digits + string.ascii_lowercase

DESCRIPTION = "Learning-rate policies for PyTorch: look at one, or check one of your own."
EPILOG = """\
examples:
  %(prog)s preview "Switch({0: 1e-3, 30: 1e-4})"
  %(prog)s preview "Cosine(0.1, 0, 90)" --epochs 90
  %(prog)s preview "Step(1, 9)" --save lr.png
  %(prog)s preview mypackage.train:policy --csv
  %(prog)s check mypackage.policies:MyPolicy
  %(prog)s version --hash

exit codes: 0 success, 1 the policy failed, 2 wrong usage
"""
PREVIEW = """\
Draw the learning rates of a policy in the terminal, with a table of its
milestones: the epochs at which one jumps, turns, or begins or ends to move.

POLICY is one of

  an expression:
    "Multiply({30: 0.1, 60: 0.1}, lr_init=0.1)"
    "warmup(5, Step(0.1, 30)).in_steps(500)"
  one expression a group, None to leave a group alone:
    "[Cosine(0.1, 0, epochs=90), Constant(0.01), None]"
  groups by name:
    "Scale.by_name({'head': Step(1, 9), 'body': None})"
  some to compare:
    "{'a': Cosine(0.1, 0, epochs=90), 'b': Step(0.1, 30)}"
  something to import, a scheduler of torch, too:
    mypackage.train:policy
    path/to/train.py:policy

An expression is parsed and never run. It is made of the policies Switch,
Multiply, Schedule, Scale and Plateau, the schedules of
thunder_policy.schedules, numbers, strings, lists and dicts, + - * / // % **
between numbers, * between schedules, and the methods then, in_steps and
by_name. Where a policy starts from the lr of an optimizer, all is relative to
that, and the drawing says so.
"""
CHECK = """\
Run the conformance suite against policies and schedulers of your own. To do so
it imports them, and so runs your code.

TARGET is one of
  a name to import   mypackage.policies:Warmup
  a name in a file   path/to/policies.py:Warmup
  all of a module    mypackage.policies:* or mypackage:*

and names a policy, its class, a function that makes one, alone or of an
optimizer, or a thunder_policy.conformance.Subject, which says the most.

A line of FILE for --expected-failures is a target, a law and the reason:

  mypackage.policies:Warmup  pickle  holds a lock
  mypackage.policies:*       INHERITED_FROM_TORCH
"""
VERSION = """\
Print the version; or the sha256 of the package's sources, which a copy of the
package inside another one has too, as long as nobody has changed it.
"""


class PolicyError(Exception):
    """A policy raised; the message is one line."""


class UsageError(Exception):
    """What is asked for cannot be had of this policy."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: What stands after the name of the command; by default that of this process.

    Returns:
        The exit code: 0 for success, 1 where the policy failed, 2 for wrong usage.

    Raises:
        SystemExit: By argparse, for options that are wrong, and after ``--help``.

    Example:
        >>> main(["preview", "Switch({0: 0.5, 2: 0.25})", "--epochs", "4", "--csv"])
        epoch,group_0
        0,0.5
        1,0.5
        2,0.25
        3,0.25
        0
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # an ASCII terminal has no lines to draw with
    parser = _parser()
    options = parser.parse_args(arguments)
    try:
        code = _run(options)
        sys.stdout.flush()
    except PolicyError as error:
        return _complain(parser, error, FAILED)
    except ImportError as error:
        hint = "" if "pip install" in str(error) else f": {INSTALL}"
        return _complain(parser, f"{error}{hint}", MISUSED)
    except BrokenPipeError:
        # Whoever read the output has seen enough; keep Python from flushing the rest at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return OK
    except (ExpressionError, UsageError, OSError) as error:
        return _complain(parser, error, MISUSED)
    return code


def source_hash() -> str:
    """Return the sha256 of the package's sources, which an unchanged vendored copy has too.

    Raises:
        UsageError: Where there are no sources to read: in a zip, or in a frozen program.
    """
    package = Path(__file__).parent
    # An installed package has the plugin of pytest as a module of its own, beside it.
    sources = [path for path in package.rglob("*.py") if path.parent.name != "plugin"]
    files = [*sources, *package.rglob("py.typed")]
    if Path(__file__) not in files:
        raise UsageError(f"there are no sources in {package}, so they have no hash")
    digest = sha256()
    for name, file in sorted((file.relative_to(package).as_posix(), file) for file in files):
        content = file.read_bytes().replace(b"\r\n", b"\n")
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


class _Filled(argparse.HelpFormatter):
    """Fills paragraphs to the width of the terminal, and leaves lines that are indented."""

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        paragraphs = text.strip().split("\n\n")
        return "\n\n".join(
            paragraph if "\n  " in f"\n{paragraph}" else textwrap.fill(paragraph, width)
            for paragraph in paragraphs
        )


def _parser() -> argparse.ArgumentParser:
    vendored = f"python -m {__package__}"
    prog = vendored if Path(sys.argv[0]).name == "__main__.py" else "thunder-policy"
    parser = argparse.ArgumentParser(
        prog=prog,
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=_Filled,
    )
    parser.add_argument("--version", action="version", version=f"thunder_policy {__version__}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, summary: str, description: str) -> argparse.ArgumentParser:
        return commands.add_parser(
            name,
            help=summary,
            description=description,
            formatter_class=_Filled,
        )

    preview = command("preview", "draw the learning rates of a policy", PREVIEW)
    preview.add_argument(
        "policy", metavar="POLICY", help="an expression, module:name or file.py:name"
    )
    preview.add_argument(
        "--epochs", type=_count, default=100, metavar="N", help="how many epochs (default: 100)"
    )
    instead = preview.add_mutually_exclusive_group()
    instead.add_argument(
        "--save", type=_picture, metavar="FILE", help="save a picture instead: FILE.png or FILE.svg"
    )
    instead.add_argument(
        "--csv", action="store_true", help="print a line an epoch instead, with all digits"
    )
    instead.add_argument(
        "--json", action="store_true", help="print the lrs and milestones as JSON instead"
    )

    check = command("check", "run the conformance suite against a policy", CHECK)
    check.add_argument(
        "targets", nargs="+", metavar="TARGET", help="module:name, file.py:name or module:*"
    )
    check.add_argument("--groups", type=_count, metavar="N", help="how many param groups it is for")
    check.add_argument(
        "--expected",
        metavar="MODULE:FUNCTION",
        help="a function of epoch and group: the lr to expect",
    )
    check.add_argument("--epochs", type=_count, metavar="N", help="how many steps it can take")
    check.add_argument(
        "--optimizer",
        metavar="MODULE:NAME",
        help="the class of its optimizer, or what makes one of param groups",
    )
    check.add_argument(
        "--expected-failures",
        metavar="FILE",
        help="what is known to be broken; or INHERITED_FROM_TORCH",
    )
    check.add_argument("--laws", metavar="SET", help="the set of laws (default: the newest)")
    check.add_argument("--junit", metavar="FILE", help="write a report as JUnit XML, too")
    form = check.add_mutually_exclusive_group()
    form.add_argument(
        "--json", dest="form", action="store_const", const="json", help="print the report as JSON"
    )
    form.add_argument(
        "--markdown", dest="form", action="store_const", const="markdown", help="or as Markdown"
    )

    version = command("version", "print the version", VERSION)
    version.add_argument("--hash", action="store_true", help="print the sha256 instead")
    return parser


def _count(text: str) -> int:
    # Nothing longer is a number in the range, and Python refuses to read very long ones.
    if not re.fullmatch(r"[0-9]{1,9}", text) or not 1 <= int(text) <= MAX_COUNT:
        raise argparse.ArgumentTypeError(
            f"must be a whole number from 1 to {MAX_COUNT:,}, not {short(text)}"
        )
    return int(text)


def _picture(text: str) -> Path:
    if not text.endswith(PICTURES):
        raise argparse.ArgumentTypeError(f"must end in {' or '.join(PICTURES)}, not {text!r}")
    return Path(text)


def _complain(parser: argparse.ArgumentParser, error: object, code: int) -> int:
    print(f"{parser.prog}: error: {error}", file=sys.stderr)
    return code


def _run(options: argparse.Namespace) -> int:
    if options.command == "preview":
        return _preview(options)
    if options.command == "check":
        from .conformance.command import check_command

        numbers = {"groups": options.groups, "epochs": options.epochs}
        return check_command(
            options.targets,
            expected=options.expected,
            optimizer=options.optimizer,
            expected_failures=options.expected_failures,
            laws=options.laws,
            junit=options.junit,
            form=options.form,
            **{name: number for name, number in numbers.items() if number is not None},
        )
    print(source_hash() if options.hash else __version__)
    return OK


def _preview(options: argparse.Namespace) -> int:
    policy = load(options.policy)
    named = schedulers("preview", policy)
    title, what = " ".join(options.policy.split()), quantity(named)
    unknown = " ".join(relative(named).split())
    each = _simulated(named, options.epochs)
    lrs = torch.cat([*each.values()], dim=1)
    several = isinstance(policy, Mapping)
    columns = _columns(named, each, several)
    highest = float(lrs.abs().max())
    if highest and not 1e-300 < highest < 1e300 and not (options.csv or options.json):
        raise PolicyError(f"lrs of up to {highest:g} cannot be drawn: --csv and --json print them")
    if options.save:
        drawn = {name if several else what: labels(scheduler) for name, scheduler in named.items()}
        _save(title, zip(drawn, each.values(), drawn.values()), what, options.save)
        print(f"saved {options.save}")
    elif options.csv:
        writer = csv.writer(sys.stdout, lineterminator="\n")
        writer.writerow(["epoch", *columns])
        writer.writerows([epoch, *row] for epoch, row in enumerate(lrs.tolist()))
        if unknown:
            print(unknown, file=sys.stderr)
    elif options.json:
        told = {"policy": title, "option": option(named), "epochs": options.epochs}
        told |= {"relative": unknown} if unknown else {}
        values = {"columns": columns, "milestones": milestones(lrs), "lrs": lrs.tolist()}
        print(json.dumps(told | values))
    else:
        names = [] if several else labels(*named.values())
        _draw(title, what, lrs, columns if several else [], names)
    return OK


def _columns(
    named: Mapping[str, LRScheduler], each: Mapping[str, Tensor], several: bool
) -> list[str]:
    """Name the column of each group, by its policy too where several are compared."""
    columns: list[str] = []
    for name, lrs in each.items():
        groups = [f"group_{label}" for label in labels(named[name]) or range(lrs.shape[1])]
        of = [name] if len(groups) == 1 else [f"{name} {group}" for group in groups]
        columns += of if several else groups
    return columns


def _simulated(named: Mapping[str, LRScheduler], epochs: int) -> dict[str, Tensor]:
    try:
        groups = sum(trajectory(scheduler, epochs=1).shape[1] for scheduler in named.values())
        if epochs * groups <= MAX_VALUES:
            return {name: trajectory(scheduler, epochs) for name, scheduler in named.items()}
    except (Exception, SystemExit) as error:
        # What a policy of somebody else's raises can be anything.
        text = said(error)
        notes = [note for note in getattr(error, "__notes__", ()) if note not in text]
        raise PolicyError(" ".join("; ".join([text, *notes]).split())) from error
    raise UsageError(
        f"{epochs} epochs of {groups} groups are too many to look at: "
        f"give --epochs {MAX_VALUES // groups} at most"
    )


def _save(
    name: str, drawn: Iterable[tuple[str, Tensor, Sequence[object]]], what: str, file: Path
) -> None:
    from matplotlib.figure import Figure

    figure = Figure(layout="constrained")
    ax = figure.subplots()
    for label, lrs, names in drawn:
        draw(ax, label, lrs, names)
    finish(ax, what)
    ax.set_title(
        textwrap.fill(cut(name, MAX_NAME), 76), family="monospace", fontsize=9, parse_math=False
    )
    figure.savefig(file)


def _draw(
    name: str, what: str, lrs: Tensor, columns: Sequence[str], names: Sequence[object]
) -> None:
    """Draw the lrs and list the milestones, as wide as the terminal.

    Args:
        name: What was typed.
        what: What the lrs are.
        lrs: One column a param group.
        columns: Names of the columns, where they are of several policies.
        names: Names of the groups, where they have any.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    console = Console(highlight=False)
    lines = distinct(lrs)
    console.print(Text(f"{what} of {cut(name, MAX_NAME)}", style="bold"))
    console.print(Text.from_ansi(_drawing(lines, min(console.width, 100))))
    shown = [*lines.items()][:MAX_COLUMNS]
    labeled = [
        ", ".join(columns[i] for i in groups) if columns else group_names(groups, names)
        for groups, _ in shown
    ]
    if len(lines) > 1:
        of = "param group"
        if columns or names:
            of = "heading"
            labeled = [f"{_symbol(groups)}: {label}" for (groups, _), label in zip(shown, labeled)]
        letters = "; a is 10, b is 11 and so on" if lrs.shape[1] > 10 else ""
        letters += f", + is any from {len(SYMBOLS)}" if lrs.shape[1] > len(SYMBOLS) else ""
        console.print(f"Each line is drawn with the number of its {of}{letters}.")
    table = Table(box=box.SIMPLE_HEAD)
    table.add_column("milestone", justify="right")
    for label in labeled:
        table.add_column(label if len(lines) > 1 else what, justify="right")
    epochs = milestones(lrs)
    for epoch in epochs[:MAX_ROWS]:
        table.add_row(str(epoch), *(f"{float(line[epoch]):.6g}" for _, line in shown))
    console.print(table)
    left = {"milestones": len(epochs) - MAX_ROWS, "groups": len(lines) - MAX_COLUMNS}
    for what, count in left.items():
        if count > 0:
            console.print(f"{count:,} more {what}: --csv and --json print all.")


def _symbol(groups: tuple[int, ...]) -> str:
    """Return what the line of some groups is drawn with."""
    return SYMBOLS[groups[0]] if groups[0] < len(SYMBOLS) else "+"


def _drawing(lines: dict[tuple[int, ...], Tensor], width: int) -> str:
    plotext: Any = import_module("plotext")  # it has no types
    if int(plotext.__version__.partition(".")[0]) >= 6:
        raise ImportError(
            f"plotext {plotext.__version__} aborts on a plot of steps: pip install 'plotext<6'"
        )
    lrs = torch.stack([*lines.values()])
    low, high = float(lrs.min()), float(lrs.max())
    if high - low <= ROUNDING * float(lrs.abs().max()):
        lrs, high = torch.full_like(lrs, low), low
    ticks = _ticks(low, high, 5)
    digits = 6 if len({f"{tick:.6g}" for tick in ticks}) == len(ticks) else 12
    labels = [f"{tick:.{digits}g}" for tick in ticks]
    if wants_log(lrs):
        lrs = lrs.log10()
        ticks = [tick for tick in _ticks(float(lrs.min()), float(lrs.max()), 6) if tick % 1 == 0]
        labels = [f"{10**tick:g}" for tick in ticks]
    plotext.clear_figure()
    plotext.limit_size(False, False)
    plotext.plot_size(width, HEIGHT)
    plotext.theme("clear")
    for groups, line in zip(lines, lrs):
        plotext.plot(*_points(line), marker="braille" if len(lines) == 1 else _symbol(groups))
    plotext.yticks(ticks, labels)
    epochs = [epoch for epoch in _ticks(0, lrs.shape[1] - 1, 6) if epoch % 1 == 0]
    plotext.xticks(epochs, [f"{epoch:.0f}" for epoch in epochs])
    plotext.xlabel("epoch")
    return str(plotext.build()).rstrip("\n")


def _points(lr: Tensor) -> tuple[list[float], list[float]]:
    """Return the corners of a line: steps as steps, and of very many epochs those that show."""
    xs, ys = [*range(len(lr))], lr.tolist()
    if is_stepwise(lr[:, None]):
        # Each epoch twice: with the lr before its step, and with its own.
        xs, ys = [x for x in xs for _ in range(2)][1:], [y for y in ys for _ in range(2)][:-1]
    size = -(-len(xs) // MAX_POINTS)
    shown: list[int] = []
    for start in range(0, len(xs), size):
        part = range(start, min(start + size, len(xs)))
        shown += sorted({min(part, key=ys.__getitem__), max(part, key=ys.__getitem__)})
    return [xs[i] for i in shown], [ys[i] for i in shown]


def _ticks(low: float, high: float, count: int) -> list[float]:
    """Return about so many round numbers between two."""
    if low == high:
        return [low]
    unit = 10 ** math.floor(math.log10((high - low) / count))
    step = next(unit * m for m in (1, 2, 5, 10) if unit * m * count >= high - low)
    return [i * step for i in range(math.ceil(low / step), math.floor(high / step) + 1)]
