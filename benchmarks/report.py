"""What was measured, as a table, as Markdown for the folder's README, as JSON and as a picture."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from datetime import datetime, timezone
from itertools import groupby
from pathlib import Path
from typing import Any

import torch
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import EngFormatter, StrMethodFormatter
from rich import box
from rich.table import Table

import thunder_policy

from .overhead import AT, BETWEEN, CALLED, GROUPS, PAIRS, Result

OURS = ("#0b62c4", "#e0701a")
PANELS = {
    "between milestones": [*BETWEEN],
    **{policy: [policy] for policy in CALLED},
    "at a milestone": [*AT],
}
KINDS = ("float", "tensor")
STANDARD = "Switch, between milestones"
MICRO = 1e6


def environment(command: str) -> dict[str, Any]:
    """Tell where, when, with what and by what command something was measured."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "cuda": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "thunder_policy": thunder_policy.__version__,
        "date": datetime.now(timezone.utc).date().isoformat(),
        "command": command,
    }


def _cpu() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.exists():
        for line in cpuinfo.read_text(encoding="utf-8").splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def sentence(where: dict[str, Any]) -> str:
    """Say in words where something was measured."""
    return (
        f"{where['cpu']}, {where['cores']} cores, {where['system']}; Python {where['python']}, "
        f"torch {where['torch']}, thunder_policy {where['thunder_policy']}; {where['date']}"
    )


def cuda_line(where: dict[str, Any]) -> str:
    """Say whether CUDA was measured."""
    if where["cuda"] is None:
        return "CUDA: torch finds no device here, so nothing of it was measured."
    return f"CUDA: measured on one {where['cuda']}."


def table(results: Sequence[Result], where: dict[str, Any]) -> Table:
    """Show every case, a section for each optimizer and policy."""
    shown = Table(
        title="Median time of a step in µs, ± the distance between its quartiles",
        caption=f"{sentence(where)}\n{cuda_line(where)}",
        box=box.SIMPLE_HEAD,
        caption_justify="left",
    )
    for column in ("policy", "against"):
        shown.add_column(column, no_wrap=True)
    for column in ("lr", "optimizer"):
        shown.add_column(column)
    for column in ("groups", "milestones", "ours", "", "torch's", "", "ratio", "goal"):
        shown.add_column(column, justify="right", no_wrap=True)
    shown.add_column("of optimizer.step()", justify="right")
    sections = groupby(results, lambda one: (one.case.device, one.case.optimizer, one.case.policy))
    for _, section in sections:
        for result in section:
            shown.add_row(*_cells(result))
        shown.add_section()
    return shown


def _cells(result: Result) -> list[str]:
    case, goal, shares = result.case, result.case.goal, result.shares
    color = "" if goal is None else "[green]" if result.ratio <= goal else "[red]"
    return [
        case.policy,
        case.pair.against,
        case.lr + (" on CUDA" if case.device == "cuda" else ""),
        case.optimizer,
        f"{case.groups:,}",
        f"{case.milestones:,}" if "between" in case.policy else "",
        _micro(result.ours.median),
        f"[dim]±{_micro(result.ours.iqr)}",
        _micro(result.torchs.median),
        f"[dim]±{_micro(result.torchs.iqr)}",
        f"{color}{result.ratio:.3f}",
        "" if goal is None else f"{goal:.2f}",
        "[dim]not on CPU" if shares is None else "{:.1%} / {:.1%}".format(*shares),
    ]


def _micro(seconds: float) -> str:
    micro = seconds * MICRO
    return f"{micro:,.2f}" if micro < 100 else f"{micro:,.0f}"


def markdown(results: Sequence[Result], where: dict[str, Any]) -> str:
    """Return the folder's tables: ratios of both schedulers, and their shares of a whole step."""
    on_cpu = [one for one in results if one.case.device == "cpu"]
    standard = [one for one in on_cpu if one.case.is_standard]
    on_cuda = [one for one in results if one.case.device == "cuda"]
    shares = {
        (one.case.lr, one.case.optimizer): [f"{share:.1%}" for share in one.shares]
        for one in on_cpu
        if one.shares
        and (one.case.policy, one.case.groups, one.case.milestones) == (STANDARD, 1, 2)
    }
    optimizers = [*dict.fromkeys(optimizer for _, optimizer in shares)]
    whole = [["share of `optimizer.step()`, 1 group", *optimizers]]
    for lr in KINDS:
        for i, name in enumerate((STANDARD, f"`{PAIRS[STANDARD].against}`")):
            whole.append([f"{name}, {lr} lr", *(shares[lr, one][i] for one in optimizers)])
    tables = [_lines(_ratios(standard, "policy", KINDS, 3), names=2), _lines(whole, names=1)]
    if on_cuda:
        tables.append(_lines(_ratios(on_cuda, "on CUDA", KINDS[1:], 3), names=2))
    made = f"Made by `{where['command']}` on {sentence(where)}. {cuda_line(where)}"
    return "\n\n".join([*tables, made])


def _ratios(
    results: Sequence[Result], what: str, kinds: Sequence[str], digits: int
) -> list[list[str]]:
    """Return a row a policy, with a ratio for each kind of lr and number of groups."""
    ratios = {
        (one.case.policy, one.case.lr, one.case.groups): f"{one.ratio:.{digits}f}"
        for one in results
    }
    more = [f"{n:,}" for n in GROUPS[1:]]
    head = [what, "against"]
    for lr in kinds:
        head += [f"{lr} lr, 1 group", *more]
    rows = [head]
    for policy, pair in PAIRS.items():
        cells = [ratios.get((policy, lr, n), "") for lr in kinds for n in GROUPS]
        rows.append([policy, f"`{pair.against}`", *cells])
    return rows


def _lines(rows: Sequence[Sequence[str]], names: int) -> str:
    """Write a table, whose first columns are names and the others numbers."""
    head, *rest = rows
    rule = ["---"] * names + ["--:"] * (len(head) - names)
    return "\n".join("| " + " | ".join(row) + " |" for row in [head, rule, *rest])


def to_json(results: Sequence[Result], where: dict[str, Any]) -> dict[str, Any]:
    """Return everything as plain values."""
    return {"environment": where, "results": [result.to_json() for result in results]}


def plot(results: Sequence[Result], where: dict[str, Any]) -> Figure:
    """Draw cost against the number of groups, log-log: a column a pair, a row a kind of lr."""
    figure = Figure(figsize=(12.5, 6), layout="constrained")
    axes = figure.subplots(2, len(PANELS), sharex=True, sharey=True)
    for row, lr in zip(axes, KINDS, strict=True):
        for panel, (title, policies) in zip(row, PANELS.items(), strict=True):
            for policy, color in zip(policies, OURS):
                _draw(panel, [one for one in results if _is_plotted(one, policy, lr)], color)
            panel.grid(which="major", alpha=0.25)
            panel.spines[["top", "right"]].set_visible(False)
            panel.legend(fontsize=7.5, loc="upper left", frameon=False, handlelength=1.6)
            if lr == "float":
                panel.set_title(title, fontsize=10)
        row[0].set_ylabel(f"{lr} lr")
    axes[0][0].xaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))
    axes[0][0].yaxis.set_major_formatter(EngFormatter(unit="s"))
    figure.supxlabel("param groups", fontsize=10)
    figure.supylabel("median time of scheduler.step()", fontsize=10)
    figure.suptitle(sentence(where), fontsize=8, color="0.45")
    return figure


def _is_plotted(result: Result, policy: str, lr: str) -> bool:
    return result.case.is_standard and (result.case.policy, result.case.lr) == (policy, lr)


def _draw(panel: Axes, results: Sequence[Result], color: str) -> None:
    groups = [one.case.groups for one in results]
    name, _, _ = results[0].case.policy.partition(",")
    ours = [one.ours.median for one in results]
    torchs = [one.torchs.median for one in results]
    against = results[0].case.pair.against
    labelled = against in (line.get_label() for line in panel.lines)
    panel.loglog(groups, torchs, "s--", color="0.55", markersize=3.5, linewidth=1.2)
    panel.lines[-1].set_label("_" if labelled else against)
    panel.loglog(groups, ours, "o-", color=color, markersize=4.5, label=name)
