//! Channels that are written in Python: the kind `python` of a scenario's `[[channel]]`.

use std::sync::Arc;

use pom2dib::{
    WantedChannel,
    dib::{Channel, Crossing, Error, Phase, Result},
    randomness::Seed,
};
use pyo3::{
    prelude::*,
    types::{PyByteArray, PyBytes},
};

use crate::network::{SEEDS, alone, line, numbers};

/// A `ChannelAdapter` of `pom2dib/_channel.py`.
struct PythonChannel {
    adapter: Py<PyAny>,
    feature_dim: usize,
    seed: Seed,
    libraries: Vec<String>,
}

/// Makes the channel that a table of the scenario asks for, or says in one line why that cannot be.
pub(crate) fn build(wanted: &WantedChannel) -> std::result::Result<Arc<dyn Channel<f32>>, String> {
    let _alone = alone();
    let (feature_dim, seed) = (wanted.feature_dim, wanted.seed);
    Python::attach(|py| {
        let asked = (wanted.keys(), kernels::threads());
        let adapter = py.import("pom2dib._channel")?.call_method1("build", asked)?;
        let libraries = adapter.getattr("libraries")?.extract()?;
        Ok(PythonChannel { adapter: adapter.unbind(), feature_dim, seed, libraries })
    })
    .map(|channel| Arc::new(channel) as Arc<dyn Channel<f32>>)
    .map_err(|error: PyErr| Python::attach(|py| line(py, &error)))
}

impl PythonChannel {
    /// What a method gives of values, which replace the last of them.
    fn call(&self, method: &str, crossing: &Crossing, sent: &[f32], values: &mut [f32]) -> Result<()> {
        let Crossing { phase, pass, transmitter, receiver, modality, tick } = *crossing;
        let told = (phase == Phase::Train, pass, transmitter, receiver, modality, tick);
        // The same for the way there and the way back: whatever is drawn is drawn again.
        let seed = crossing.draws(self.seed).below(SEEDS);
        let _alone = alone();
        Python::attach(|py| {
            let lent = |values: &[f32]| PyByteArray::new(py, bytemuck::cast_slice(values));
            let asked = (told, seed, self.feature_dim, lent(sent), lent(values));
            let answer = self.adapter.call_method1(py, method, asked)?;
            values.copy_from_slice(&numbers(answer.bind(py).cast::<PyBytes>()?.as_bytes()));
            Ok(())
        })
        .map_err(|error: PyErr| Error::Own(Python::attach(|py| line(py, &error))))
    }
}

impl Channel<f32> for PythonChannel {
    fn send(&self, crossing: &Crossing, features: &mut [f32]) -> Result<()> {
        self.call("send", crossing, &[], features)
    }

    fn pull_back(&self, crossing: &Crossing, sent: &[f32], gradient: &mut [f32]) -> Result<()> {
        self.call("pull_back", crossing, sent, gradient)
    }

    fn keeps_sent(&self) -> bool {
        true
    }

    fn libraries(&self) -> Vec<String> {
        self.libraries.clone()
    }
}
