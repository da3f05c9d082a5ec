"""docs/python.md does as it says."""

from __future__ import annotations

import json
import re
import subprocess
import sysconfig
from pathlib import Path

import matplotlib.pyplot
import pytest

import pom2dib

PAGE = Path(__file__).parents[2] / "docs" / "python.md"
README = Path(__file__).parents[1] / "README.md"


def snippets(page: Path) -> list[tuple[str, str]]:
    """The language and text of each."""
    return re.findall(r"^```(python|python torch|sh)\n(.*?)^```$", page.read_text("utf-8"), re.DOTALL | re.MULTILINE)


def test_every_snippet_of_the_page_runs_in_its_order(monkeypatch: pytest.MonkeyPatch) -> None:
    scripts = sysconfig.get_path("scripts")
    names: dict[str, object] = {"__name__": "__main__"}
    found = snippets(PAGE)
    assert len(found) > 8
    for language, text in found:
        if language == "python":
            exec(compile(text, str(PAGE), "exec"), names)
        elif language == "sh":
            subprocess.run(["sh", "-ec", text], check=True, env={"PATH": f"{scripts}:/usr/bin:/bin"})
    matplotlib.pyplot.close("all")
    for written in ("selection.png", "records.csv", "first/report.html"):
        assert Path(written).stat().st_size > 1000


MODELS = """
import pom2dib
class Encoder(pom2dib.ArrayModule):
    def __init__(self, shape, out): self.size = out
    def initial(self, generator): return {"b": generator.normal(size=self.size)}
    def forward(self, parameters, x): return 0 * x.reshape(len(x), -1)[:, :1] + parameters["b"], x
    def backward(self, kept, upstream): return {"b": upstream.sum(0)}, 0 * kept
"""


def test_the_table_of_the_page_is_a_scenario_s(place: Path) -> None:
    (table,) = re.findall(r"^```toml\n(.*?)^```$", PAGE.read_text("utf-8"), re.DOTALL | re.MULTILINE)
    (place / "my_models.py").write_text(MODELS)
    with open("tiny.toml", "a") as scenario:
        scenario.write(table)
    pom2dib.call("check", "tiny.toml")
    shown = json.loads(pom2dib.call("model", "tiny.toml", "--json"))
    assert "encoder of fft: trunk" in [network["network"] for network in shown["networks"] if network["kind"] == "python"]


def test_every_snippet_in_pytorch_runs_in_its_order() -> None:
    pytest.importorskip("torch", reason="torch is not installed: networks in PyTorch are not tested")
    names: dict[str, object] = {"__name__": "__main__", "pom2dib": pom2dib}
    found = [text for language, text in snippets(PAGE) if language == "python torch"]
    assert len(found) == 4
    for text in found:
        exec(compile(text, str(PAGE), "exec"), names)


def test_the_example_of_the_package_runs() -> None:
    ((language, text),) = snippets(README)
    assert language == "python"
    exec(compile(text, str(README), "exec"), {})
