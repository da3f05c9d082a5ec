"""The examples of docs/watching.md for W&B and MLflow, with the real packages and without a network."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

import pom2dib

PAGE = Path(__file__).parents[2] / "docs" / "watching.md"


def example(package: str) -> str:
    """The example for a package, of the tiny scenario instead of a hundred rounds of digits."""
    snippets = re.findall(r"^```python\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (found,) = [text for text in snippets if re.search(rf"^import .*\b{package}\b", text, re.MULTILINE)]
    tiny = found.replace('pom2dib.start("digits", rounds=100)', 'pom2dib.start("tiny.toml", out="run")')
    assert tiny != found
    return tiny


def logged() -> list[dict[str, Any]]:
    return [json.loads(line) for line in Path("run/metrics.jsonl").read_text("utf-8").splitlines()]


def test_wandb_gets_every_round(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    for name, value in {"MODE": "offline", "SILENT": "true", "DIR": str(place)}.items():
        monkeypatch.setenv(f"WANDB_{name}", value)
    wandb = pytest.importorskip("wandb", reason="wandb is not installed")
    steps: list[tuple[int, dict[str, float]]] = []
    names: dict[str, Any] = {}
    log = wandb.Run.log

    def noted(run: Any, values: dict[str, float], step: int) -> None:
        steps.append((step, values))
        log(run, values, step=step)

    monkeypatch.setattr(wandb.Run, "log", noted)
    exec(compile(example("wandb"), str(PAGE), "exec"), names)
    wandb.finish()
    # Its own process has written everything when it has ended.
    wandb.teardown()
    lines = logged()
    assert [(step, values["n_ce"], values["sum_rate"]) for step, values in steps] == [
        (line["round"], line["n_ce"], line["sum_rate"]) for line in lines
    ]
    (kept,) = place.glob("wandb/offline-run-*/*.wandb")
    assert kept.stat().st_size > 1000, "what `wandb sync` sends later"


def test_mlflow_gets_every_round(monkeypatch: pytest.MonkeyPatch, place: Path) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", (place / "mlruns").as_uri())
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    mlflow = pytest.importorskip("mlflow", reason="mlflow is not installed")
    exec(compile(example("mlflow"), str(PAGE), "exec"), {})
    run = mlflow.last_active_run().info.run_id
    for key in ("n_ce", "sum_rate"):
        points = mlflow.MlflowClient().get_metric_history(run, key)
        assert [(point.step, point.value) for point in points] == [(line["round"], line[key]) for line in logged()]
