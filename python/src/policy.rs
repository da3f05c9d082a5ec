//! Rules of selection that are written in Python: `train.selection = "python"`.

use pom2dib::{
    WantedPolicy,
    dib::{Decision, Error, Judged, Phase, Policy, Result, SelectorNode},
    randomness::Stream,
};
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyBytes},
};

use crate::network::{SEEDS, alone, line, numbers};

/// A `PolicyAdapter` of `pom2dib/_policy.py`.
struct PythonPolicy {
    adapter: Py<PyAny>,
    /// What it has learnt: asked for wherever it may have changed, since asking may fail.
    state: Vec<f64>,
    libraries: Vec<String>,
}

/// Makes the policy of a node, or says in one line why that cannot be.
pub(crate) fn build(wanted: &WantedPolicy) -> std::result::Result<Box<dyn Policy>, String> {
    let node = match wanted.node {
        SelectorNode::Receiver(t) => ("receiver", t),
        SelectorNode::Transmitter(k) => ("transmitter", k),
    };
    let _alone = alone();
    Python::attach(|py| {
        let place = (node, wanted.items, wanted.limit, wanted.receivers);
        let asked = (wanted.keys(), place, kernels::threads());
        let adapter = py.import("pom2dib._policy")?.call_method1("build", asked)?;
        let libraries = adapter.getattr("libraries")?.extract()?;
        let state = numbers_of(&adapter.call_method0("state")?)?;
        Ok(PythonPolicy { adapter: adapter.unbind(), state, libraries })
    })
    .map(|policy| Box::new(policy) as Box<dyn Policy>)
    .map_err(|error: PyErr| Python::attach(|py| line(py, &error)))
}

impl PythonPolicy {
    /// What the adapter gives, which is alone in Python meanwhile.
    fn call<R>(&self, work: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<R>) -> Result<R> {
        let _alone = alone();
        Python::attach(|py| work(self.adapter.bind(py)).map_err(|error| Error::Own(line(py, &error))))
    }
}

impl Policy for PythonPolicy {
    fn choose(&self, decision: &Decision<'_>, stream: &mut Stream) -> Result<Vec<usize>> {
        let Decision { phase, tick, receiver, items, limit, u, strengths_db } = *decision;
        let told = (phase == Phase::Train, tick, receiver, items, limit);
        let seed = stream.below(SEEDS);
        self.call(|adapter| {
            let u = PyByteArray::new(adapter.py(), bytemuck::cast_slice(u));
            let asked = (told, seed, u, strengths_db.to_vec());
            let chosen: Vec<usize> = adapter.call_method1("choose", asked)?.extract()?;
            Ok(chosen)
        })
    }

    fn learn(&mut self, round: &[Judged<'_>]) -> Result<()> {
        let of = |judged: &Judged<'_>| (judged.tick, judged.receiver, judged.items.to_vec(), judged.cost);
        let told: Vec<_> = round.iter().map(of).collect();
        self.state = self.call(|adapter| numbers_of(&adapter.call_method1("learn", (told,))?))?;
        Ok(())
    }

    fn state(&self) -> Vec<f64> {
        self.state.clone()
    }

    fn restore(&mut self, state: &[f64]) -> Result<()> {
        self.state = self.call(|adapter| {
            let kept = PyByteArray::new(adapter.py(), bytemuck::cast_slice(state));
            numbers_of(&adapter.call_method1("restore", (kept,))?)
        })?;
        Ok(())
    }

    fn libraries(&self) -> Vec<String> {
        self.libraries.clone()
    }
}

/// A state, which comes as float64.
fn numbers_of(answer: &Bound<'_, PyAny>) -> PyResult<Vec<f64>> {
    Ok(numbers(answer.cast::<PyBytes>()?.as_bytes()))
}
