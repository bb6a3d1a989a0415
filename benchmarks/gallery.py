"""Draw the pages' pictures of policies, of schedules and of combinations, under expressions.

    python benchmarks/gallery.py

The expressions are those that ``thunder-policy preview`` takes.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image  # Matplotlib needs it

from thunder_policy.expression import load
from thunder_policy.simulate import plot

PICTURES = Path(__file__).parent / "pictures"
EPOCHS = 100

GALLERY: dict[str, list[str]] = {
    "schedules": [
        "Constant(0.1)",
        "Step(0.1, step_size=30, gamma=0.3)",
        "MultiStep(0.1, [30, 60, 80], gamma=0.5)",
        "Exponential(0.1, gamma=0.98)",
        "InverseSqrt(0.1, timescale=10)",
        "InverseTime(0.1, timescale=10)",
        "Power(0.1, timescale=10)",
        "Linear(0.1, 0, epochs=90)",
        "Polynomial(0.1, 0, epochs=90, power=2)",
        "OneMinusPower(0.1, 0, epochs=90)",
        "OneMinusPower(0.1, 0, epochs=90, power=2)",
        "Geometric(0.1, 0.001, epochs=90)",
        "Cosine(0.1, 0, epochs=90)",
        "REX(0.1, 0, epochs=90)",
        "CosineRestarts(0.1, 0, T_0=14, T_mult=2)",
        "CosineRestarts(0.1, 0, T_0=20,\n    cycle_decay=0.5, cycle_limit=4)",
        "Piecewise({0: 0.02, 15: 0.1, 60: 0.04, 90: 0})",
        "OneCycle(0.1, epochs=90)",
        "OneCycle(0.1, epochs=90, anneal='linear',\n         three_phase=True)",
        "Triangular(0.01, 0.1, up=10, down=10)",
        "Triangular(0.01, 0.1, up=10, down=10,\n           mode='triangular2')",
        "Triangular(0.01, 0.1, up=10, down=10,\n           mode='exp_range', gamma=0.97)",
        "WSD(0.1, warmup=10, stable=50, decay=30)",
        "WSD(0.1, warmup=10, stable=50, decay=30,\n    anneal='1-sqrt')",
    ],
    "combinations": [
        "warmup(10, Cosine(0.1, 0, epochs=80))",
        "Constant(0.1).then(Cosine(0.1, 0, epochs=50), at=40)",
        "Cosine(0.1, 0, epochs=90) * Step(1, 30, gamma=0.5)",
        "Geometric(0.001, 0.1, epochs=10).then(\n    Cosine(0.1, 0, epochs=80), at=10)",
        "[Cosine(0.1, 0, epochs=90), 0.3 * Cosine(0.1, 0, epochs=90)]",
        "warmup(2, MultiStep(0.1, [3, 6])).in_steps(10)",
        "warmup(0.1, Cosine(0.1, 0, epochs=0.8)).in_steps(100)",
        "Cosine(0, 0.1, 20).then(InverseSqrt(0.1, 20), at=20)",
        "Constant(0.1).then(\n    OneMinusPower(0.1, 0, epochs=20), at=70)",
    ],
    "policies": [
        "Switch({0: 1e-3, 30: 5e-4, 60: 1e-4})",
        "Multiply({30: 0.1, 60: 0.1}, lr_init=0.1)",
        "Switch([{0: 1e-3, 30: 5e-4}, {0: 2e-3, 60: 1e-3}])",
    ],
}


def draw(expressions: Sequence[str], columns: int) -> Figure:
    """Draw each expression into a panel of its own, with the expression as its title."""
    rows = -(-len(expressions) // columns)
    figure = Figure(figsize=(4.2 * columns, 2.6 * rows), layout="constrained")
    panels: list[Axes] = figure.subplots(rows, columns, squeeze=False).flatten().tolist()
    for panel, expression in zip(panels, expressions, strict=False):
        plot({"lr": load(expression)}, EPOCHS, ax=panel)
        panel.set_title(expression, family="monospace", fontsize=8)
        legend = panel.get_legend()
        if legend and len(panel.lines) == 1:
            legend.remove()
    for panel in panels[len(expressions) :]:
        panel.remove()
    return figure


def main(folder: Path = PICTURES) -> int:
    """Write every picture into a folder."""
    folder.mkdir(exist_ok=True)
    for name, expressions in GALLERY.items():
        file = folder / f"{name}.png"
        buffer = BytesIO()
        draw(expressions, columns=4 if len(expressions) > 9 else 3).savefig(buffer, dpi=80)
        # A palette is enough for lines, and a third of the size.
        Image.open(buffer).convert("RGB").quantize(64).save(file, optimize=True)
        print(f"{file.name}: {file.stat().st_size // 1024} KiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
