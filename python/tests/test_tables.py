"""Sweeps, records and pictures."""

from __future__ import annotations

import subprocess
import sys
import warnings
from pathlib import Path

import numpy
import pytest

import pom2dib


def test_a_sweep_has_a_row_a_point_and_goes_on_where_it_was() -> None:
    grid = {"train.beta": [0, 1e-3], "seed": range(1, 3)}
    sweep = pom2dib.sweep("tiny.toml", grid=grid, rounds=2, in_process=True)
    table = sweep.table()
    assert sweep.folder == Path("runs/tiny-sweep").absolute()
    assert list(zip(table["train.beta"], table["seed"])) == [(0, 1), (0, 2), (1e-3, 1), (1e-3, 2)]
    assert table["status"].eq("done").all() and table["n_ce"].lt(0).all()
    assert sweep.over_seeds()["seeds"].to_list() == [2, 2]
    assert [run.summary["seed"] for run in sweep.runs] == [1, 2, 1, 2]
    written = Path(sweep.runs[0].folder / "summary.json").stat().st_mtime_ns
    more = pom2dib.sweep("tiny.toml", grid={**grid, "seed": [1, 2, 3]}, rounds=2, in_process=True)
    assert len(more.table()) == 6
    assert Path(sweep.runs[0].folder / "summary.json").stat().st_mtime_ns == written


def test_tables_are_written_as_parquet_and_read_back(finished: pom2dib.Run) -> None:
    import pandas

    sweep = pom2dib.sweep("tiny.toml", grid={"seed": [1, 2]}, rounds=2, in_process=True, out="swept")
    # As somebody else opens the folder, for example of a sweep on a cluster.
    sweep = pom2dib.Sweep(sweep.folder)
    for table in (sweep.table(), sweep.over_seeds(), pom2dib.records(finished)):
        table.to_parquet("table.parquet")
        pandas.testing.assert_frame_equal(pandas.read_parquet("table.parquet"), table)


def test_a_point_that_cannot_be_run_is_said() -> None:
    with pytest.raises(pom2dib.Error, match="train.beta"):
        pom2dib.sweep("tiny.toml", grid={"train.beta": [0, -1]})


def test_records_have_all_that_a_run_observed(finished: pom2dib.Run) -> None:
    records = pom2dib.records(finished)
    assert set(records["run"]) == {str(finished.folder)} and set(records["seed"]) == {3}
    train = records[records["split"] == "train"]
    n_ce = train[train["quantity"] == "n_ce"]
    assert numpy.array_equal(n_ce["value"].to_numpy(), finished.metrics["n_ce"].to_numpy())
    ce = train[(train["quantity"] == "ce") & (train["task"] == "digit")]
    assert ce["value"].to_list() == finished.metrics["ce.1"].to_list()
    granted = train[train["quantity"] == "granted"]
    entry = dict(receiver=1, transmitter=0, modality=2)
    of_entry = granted.loc[(granted[list(entry)] == list(entry.values())).all(axis=1)]
    assert set(of_entry["name"]) == {"fft"} and set(of_entry["task"]) == {"digit"}
    selection = finished.selection
    same = selection[(selection["t"] == 1) & (selection["k"] == 0) & (selection["m"] == 2)]
    assert of_entry["value"].to_list() == same["share"].to_list()
    judged = records[(records["split"] == "test") & (records["quantity"] == "top1")]
    tasks = finished.summary["test"]["tasks"]
    assert judged[["task", "value", "low", "high"]].to_numpy().tolist() == [
        [task["name"], task["value"], *task["ci95"]] for task in tasks
    ]


def test_the_command_writes_the_same_table(finished: pom2dib.Run) -> None:
    import pandas

    assert pom2dib.call("records", finished.folder, "--out", "all.csv") == ""
    table = pandas.read_csv("all.csv")
    assert len(table) == len(pom2dib.records(finished.folder))
    for words in (["--out", "all.parquet"], ["--out=again.parquet"]):
        assert pom2dib.call("records", finished.folder, *words) == ""
        pandas.testing.assert_frame_equal(pandas.read_parquet(words[-1].removeprefix("--out=")), pom2dib.records(finished))
    for words in (["nowhere"], ["nowhere", "--out", "b.parquet"]):
        with pytest.raises(pom2dib.Error, match="nowhere") as raised:
            pom2dib.call("records", *words)
        assert raised.value.status == 2 and not Path("b.parquet").exists()
    with pytest.raises(pom2dib.Error, match="none/b.parquet: cannot be written") as raised:
        pom2dib.call("records", finished.folder, "--out", "none/b.parquet")
    assert raised.value.status == 2


def test_records_have_work_bytes_and_what_was_missing_and_nothing_is_warned_of(finished: pom2dib.Run) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        records = pom2dib.records(finished)
    work = records[records["quantity"] == "work_seconds"]
    assert {"decode", "encode"} <= set(work["name"]) and (work["value"] >= 0).all()
    confusion = records[(records["quantity"] == "confusion") & (records["task"] == "digit")]
    (counts,) = (of["counts"] for of in finished.summary["test"]["confusion"] if of["task"] == "digit")
    assert confusion["value"].sum() == sum(map(sum, counts))
    assert records.loc[records["quantity"] == "encoded", "transmitter"].notna().all()


def test_records_of_a_run_over_the_air_have_its_links_and_rates() -> None:
    channels = [{"kind": "rayleigh", "snr_db": [0, 10], "csi": "both"}]
    run = pom2dib.run("tiny.toml", channels=channels, set={"network.see_channel": True}, in_process=True, out="air")
    records = pom2dib.records(run)
    train = records[records["split"] == "train"]
    assert train.loc[train["quantity"] == "uses", "value"].to_list() == run.metrics["channel.uses"].to_list()
    links = train[train["quantity"] == "link_snr_db"]
    first = links[(links["receiver"] == 1) & (links["transmitter"] == 0)]
    assert first["value"].to_list() == run.metrics["link_snr_db.1.0"].dropna().to_list()
    test = records[records["split"] == "test"].set_index("quantity")["value"]
    assert test["uses"] == run.summary["channel"]["uses"]
    if "strengths" in run.summary:
        assert test["strength_links"].sum() == sum(run.summary["strengths"]["links"])


def test_pictures_are_drawn_of_what_was_logged(finished: pom2dib.Run) -> None:
    axes = finished.plot.rate_relevance(smooth=1)
    drawn = {line.get_label(): line for line in axes.get_lines() if not line.get_label().startswith("_")}
    assert list(drawn) == ["parity", "digit"]
    assert list(drawn["digit"].get_xdata()) == finished.metrics["rate.1"].to_list()
    assert list(drawn["digit"].get_ydata()) == (-finished.metrics["ce.1"]).to_list()
    axes = finished.plot.selection()
    shares = finished.selection.groupby(["k", "m", "t"])["share"].mean().to_numpy().reshape(5, 2)
    assert numpy.allclose(numpy.asarray(axes.get_images()[0].get_array()), shares)


@pytest.mark.parametrize(
    ("module", "does", "extra"),
    [
        ("pandas", "run.metrics", "pandas"),
        ("pandas", "pom2dib.records(run)", "pandas"),
        ("pyarrow", "from pom2dib._records import write_as_parquet; write_as_parquet([str(run.folder)], 'all.parquet')", "parquet"),
        ("matplotlib", "run.plot.selection()", "plot"),
        ("numpy", "pom2dib.Arrays(train={'x': [1]}, test={'x': [1]}, tasks={'y': ([1], [1])})", "arrays"),
    ],
)
def test_what_an_extra_brings_is_asked_for_by_name(finished: pom2dib.Run, module: str, does: str, extra: str) -> None:
    script = f"import sys; sys.modules['{module}'] = None\nimport pom2dib\nrun = pom2dib.load({str(finished.folder)!r})\n{does}"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 1
    assert f"needs {module}: pip install 'pom2dib[{extra}]'" in done.stderr.splitlines()[-1]
