"""Draws a run's curves from its metrics.jsonl and selection.jsonl as SVG, with nothing but Python's own library.

    python curves.py RUN > curves.svg
"""

import json
import sys
import tomllib
from pathlib import Path

WIDTH, HEIGHT, LEFT, TOP, GAP = 720, 150, 70, 34, 52
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#999999", "#000000"]
WINDOW = 10


def smooth(values):
    return [sum(values[max(0, i - WINDOW + 1) : i + 1]) / min(i + 1, WINDOW) for i in range(len(values))]


def panel(top, title, curves, rounds):
    """One diagram: a list of (name, values)."""
    high = max(max(values) for _, values in curves) or 1.0
    parts = [f'<text x="{LEFT}" y="{top - 10}" font-weight="bold">{title}</text>']
    for share in (0, 0.5, 1):
        y = top + HEIGHT * (1 - share)
        parts.append(f'<line x1="{LEFT}" x2="{LEFT + WIDTH}" y1="{y:.1f}" y2="{y:.1f}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{high * share:.3g}</text>')
    for index, (name, values) in enumerate(curves):
        step = WIDTH / max(1, len(values) - 1)
        points = " ".join(f"{LEFT + i * step:.1f},{top + HEIGHT * (1 - v / high):.1f}" for i, v in enumerate(values))
        colour = COLOURS[index % len(COLOURS)]
        parts.append(f'<polyline points="{points}" fill="none" stroke="{colour}" stroke-width="1.5"/>')
        # Names are black, since some of the colours are hard to read on white; a piece of the line stands beside each.
        y = top + 14 + 15 * index
        parts.append(f'<text x="{LEFT + WIDTH - 24}" y="{y}" text-anchor="end">{name}</text>')
        ends = f'x1="{LEFT + WIDTH - 18}" x2="{LEFT + WIDTH - 4}" y1="{y - 4}" y2="{y - 4}"'
        parts.append(f'<line {ends} stroke="{colour}" stroke-width="3"/>')
    parts.append(f'<text x="{LEFT + WIDTH}" y="{top + HEIGHT + 16}" text-anchor="end">round {rounds}</text>')
    return "\n".join(parts)


def rows(table):
    """The grants of a line by receiver; lines of large networks have only those that are not zero."""
    if isinstance(table, list):
        return table
    (receivers, entries), shares = table["shape"], dict(zip(table["at"], table["is"]))
    return [[shares.get(t * entries + i, table["rest"]) for i in range(entries)] for t in range(receivers)]


def granted(run):
    """Entries a tick of the modalities that had most, and of all noise."""
    nodes = tomllib.loads((run / "scenario.toml").read_text())["transmitter"]
    names = [name for node in nodes for name in node["modalities"]]
    names = ["noise" if name.startswith("noise") else name for name in names]
    lines = [rows(json.loads(line)["granted"]) for line in (run / "selection.jsonl").read_text().splitlines()]
    curves = {}
    for name in dict.fromkeys(names):
        of = [i for i, other in enumerate(names) if other == name]
        curves[name] = smooth([sum(receiver[i] for receiver in line for i in of) for line in lines])
    return sorted(curves.items(), key=lambda curve: -sum(curve[1]))


def main(run):
    summary = json.loads((run / "summary.json").read_text())
    metrics = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    tasks = list(dict.fromkeys(task["name"] for task in summary["test"]["tasks"]))
    of_task = [smooth([line["ce"][t] for line in metrics]) for t in range(len(tasks))]
    regression = {task["name"] for task in summary["test"]["tasks"] if task["metric"] == "mse"}
    panels = []
    values = [(name, curve) for name, curve in zip(tasks, of_task) if name in regression]
    classes = [(name, curve) for name, curve in zip(tasks, of_task) if name not in regression]
    if values:
        panels.append(("mean squared error in training, m²", values))
    if classes:
        panels.append(("cross entropy in training, nats", classes))
    panels.append(("sum-rate, nats", [("sum-rate", smooth([line["sum_rate"] for line in metrics]))]))
    panels.append(("entries granted at a tick, by modality", granted(run)))
    height = TOP + len(panels) * (HEIGHT + GAP) + 10
    title = f"{summary['scenario']}, {summary['method']}, seed {summary['seed']} (means over {WINDOW} rounds)"
    print(f'<svg xmlns="http://www.w3.org/2000/svg" width="{LEFT + WIDTH + 20}" height="{height}" font-family="sans-serif" font-size="12">')
    print('<rect width="100%" height="100%" fill="white"/>')
    print(f'<text x="{LEFT}" y="16" font-size="14">{title}</text>')
    for index, (title, curves) in enumerate(panels):
        print(panel(TOP + 20 + index * (HEIGHT + GAP), title, curves, len(metrics)))
    print("</svg>")


main(Path(sys.argv[1]))
