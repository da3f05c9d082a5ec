"""What holds the package and the program together, and workflows that cannot run here."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

import pom2dib

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[2]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))


def test_the_package_has_the_version_of_its_program() -> None:
    program = tomllib.loads((ROOT / "Cargo.toml").read_text("utf-8"))["workspace"]["package"]["version"]
    assert pom2dib.call("--version") == f"pom2dib {program}\n"
    assert importlib.metadata.version("pom2dib") == program


def test_everything_that_is_promised_is_explained() -> None:
    for name in pom2dib.__all__:
        assert getattr(pom2dib, name).__doc__, name


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_a_workflow_is_yaml_and_its_scripts_are_shell(path: Path) -> None:
    workflow = yaml.safe_load(path.read_text("utf-8"))
    # YAML 1.1 takes the key "on" for a truth value.
    assert {"name", "jobs", True} <= set(workflow)
    scripts = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert scripts
    for script in scripts:
        # What the service puts into a script, it puts in before the shell sees it.
        assert "${{" not in script, "hand it over by the environment: env"
        checked = subprocess.run(["bash", "-n"], input=script, text=True, capture_output=True)
        assert (checked.returncode, checked.stderr) == (0, ""), script


def test_there_is_a_wheel_for_each_machine_that_the_page_names() -> None:
    (release,) = (yaml.safe_load(path.read_text("utf-8")) for path in WORKFLOWS if path.name == "wheels.yml")
    targets = {build["target"] for job in release["jobs"].values() for build in job.get("strategy", {}).get("matrix", {}).get("include", [])}
    assert targets == {"x86_64-unknown-linux-gnu", "aarch64-unknown-linux-gnu", "x86_64-apple-darwin", "aarch64-apple-darwin"}
