//! A program with a kind of network that is written with candle-nn. (tape/tests/own_graph.rs runs it.)
//!
//! cargo run --release -p pom2dib-tape --example own_graph -- run --set network.joint.kind=gated --set
//! network.joint.width=32
use std::process::ExitCode;

use candle_core::Tensor;
use candle_nn::{Module as _, VarBuilder};
use pom2dib::{Program, Wanted, dib::Module};
use pom2dib_tape::Tape;

/// It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the kind.
fn main() -> ExitCode {
    Program::new().model("gated", gated).run()
}

/// y = V (tanh(W x) * sigmoid(G x)): candle's tape does the backward pass.
fn gated(wanted: &Wanted<'_>) -> Result<Box<dyn Module>, String> {
    let (inputs, outputs, width) = (wanted.inputs(), wanted.outputs, wanted.key("width")?.unwrap_or(16));
    let graph = move |variables: VarBuilder<'static>, rows: &Tensor| {
        let linear = |inputs, outputs, name| candle_nn::linear(inputs, outputs, variables.pp(name));
        let value = linear(inputs, width, "value")?.forward(rows)?.tanh()?;
        let gate = candle_nn::ops::sigmoid(&linear(inputs, width, "gate")?.forward(rows)?)?;
        linear(width, outputs, "last")?.forward(&(value * gate)?)
    };
    // It runs the graph on a few rows, and refuses gradients that are wrong.
    let tape = Tape::new(inputs, graph).map_err(|refusal| refusal.to_string())?;
    Ok(Box::new(tape))
}
