//! A program with a kind of network of its own: sines between two linear maps. (tests/processes/own_model.rs runs it.)
//!
//! cargo run --release --example own_model -- run --set network.joint.kind=sines --set network.joint.waves=64
use std::{any::Any, process::ExitCode};

use pom2dib::dib::nn::{
    Blocks, Draws, Input, Kept, Layout, Linear, Module, Parameter, Product, draw_xavier, kept,
};
use pom2dib::dib::{Phase, Result};
use pom2dib::{Program, Wanted, candle::Tensor, randomness::Stream};

/// It has all the commands of `pom2dib`, and its nodes are processes of this same program, which knows the kind.
fn main() -> ExitCode {
    Program::new().model("sines", |wanted| Ok(Box::new(Sines::new(wanted)?))).run()
}
/// y = sin(x W + b) V + c. It holds shapes alone: values and gradients are the network's that lends them.
struct Sines([usize; 3], Layout, [Linear; 2]);

impl Sines {
    fn new(wanted: &Wanted<'_>) -> std::result::Result<Self, String> {
        let sizes = [wanted.inputs(), wanted.key("waves")?.unwrap_or(32), wanted.outputs];
        let mut layout = Layout::default(); // The names in it are those of checkpoints.
        let first = Linear::new(&mut layout, "first", sizes[0], sizes[1]);
        let second = Linear::new(&mut layout, "second", sizes[1], sizes[2]);
        Ok(Sines(sizes, layout, [first, second]))
    }
}
impl Module for Sines {
    fn inputs(&self) -> usize {
        self.0[0]
    }
    fn outputs(&self) -> usize {
        self.0[2]
    }
    fn layout(&self) -> &Layout {
        &self.1
    }
    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        self.2.iter().try_for_each(|linear| draw_xavier(&parameters[linear.weight()].value, stream))
    }
    #[rustfmt::skip]
    fn forward(&self, p: &[Parameter], input: &Input, _: &[usize], _: Phase, _: Draws<'_>) -> Result<(Tensor, Kept)> {
        let x = input.matrix(self.0[0], &p[0].value)?;
        let angle = self.2[0].forward(p, &x)?;
        Ok((self.2[1].forward(p, &angle.sin()?)?, Box::new([x, angle])))
    }
    /// Gradients of parameters add up in the order of the blocks: `Linear` does that.
    #[rustfmt::skip]
    fn backward(&self, p: &[Parameter], input: &Input, stored: &(dyn Any + Send), upstream: &Tensor, blocks: Blocks<'_>, to_input: bool) -> Result<Vec<Tensor>> {
        let [x, angle] = kept::<[Tensor; 2]>(stored)?;
        let at_angle = (self.2[1].backward(p, &angle.sin()?, upstream, blocks)? * angle.cos()?)?;
        let at_x = self.2[0].backward(p, x, &at_angle, blocks)?;
        if to_input { input.of_blocks(&at_x) } else { Ok(Vec::new()) }
    }
    fn products(&self) -> Vec<Product> {
        let product =
            |n: usize| Product { rows: 1, inner: self.0[n], columns: self.0[n + 1], of_input: n == 0 };
        (0..2).map(product).collect()
    }
}
