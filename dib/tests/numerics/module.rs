//! A user-defined module, written with the public interface only: the contract of [`Module`] is sufficient.

use std::{any::Any, collections::HashMap};

use candle_core::{DType, Device, Tensor};
use pom2dib_dib::nn::{
    AdamW, Blocks, Draws, Input, Kept, Layout, Linear, Module, Network, Parameter, Product, RowAddresses,
    draw_xavier, kept,
};
use pom2dib_dib::{Error, Phase, Result};
use randomness::{Seed, Stream};

use crate::support::{check_gradient, distance, inner, normal, numbers, shake, stream};

/// x with half of its values dropped, a linear layer, squares, a linear layer.
struct Squares {
    inputs: usize,
    outputs: usize,
    layout: Layout,
    first: Linear,
    second: Linear,
}

struct Activations {
    /// 0 or 2 for each value; none in evaluation.
    mask: Option<Tensor>,
    masked: Tensor,
    hidden: Tensor,
    squares: Tensor,
}

const HIDDEN: usize = 20;

impl Squares {
    fn new(inputs: usize, outputs: usize) -> Self {
        let mut layout = Layout::default();
        let first = Linear::new(&mut layout, "first", inputs, HIDDEN);
        let second = Linear::new(&mut layout, "second", HIDDEN, outputs);
        Squares { inputs, outputs, layout, first, second }
    }

    /// Every row's own draws, as rows of the input's type.
    fn mask(&self, x: &Tensor, draws: Draws<'_>) -> Result<Tensor> {
        let mut mask = Vec::new();
        for row in 0..x.dim(0)? {
            let mut stream = draws.stream(0, row)?;
            mask.extend((0..self.inputs).map(|_| if stream.uniform() < 0.5 { 0.0 } else { 2.0 }));
        }
        Ok(Tensor::from_vec(mask, x.shape(), x.device())?.to_dtype(x.dtype())?)
    }
}

impl Module for Squares {
    fn inputs(&self) -> usize {
        self.inputs
    }

    fn outputs(&self) -> usize {
        self.outputs
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        [self.first, self.second]
            .iter()
            .try_for_each(|layer| draw_xavier(&parameters[layer.weight()].value, stream))
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &[usize],
        phase: Phase,
        draws: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let x = input.matrix(self.inputs, &parameters[0].value)?;
        let mask = match phase {
            Phase::Train => Some(self.mask(&x, draws)?),
            Phase::Evaluate => None,
        };
        let masked = mask.as_ref().map_or(Ok(x.clone()), |mask| x.mul(mask))?;
        let hidden = self.first.forward(parameters, &masked)?;
        let squares = hidden.sqr()?;
        let output = self.second.forward(parameters, &squares)?;
        Ok((output, Box::new(Activations { mask, masked, hidden, squares })))
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        activations: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let Activations { mask, masked, hidden, squares } = kept(activations)?;
        let at_squares = self.second.backward(parameters, squares, upstream, blocks)?;
        let at_hidden = ((at_squares * hidden)? * 2.0)?;
        let at_masked = self.first.backward(parameters, masked, &at_hidden, blocks)?;
        match (to_input, mask) {
            (false, _) => Ok(Vec::new()),
            (true, Some(mask)) => input.of_blocks(&(at_masked * mask)?),
            (true, None) => input.of_blocks(&at_masked),
        }
    }

    fn products(&self) -> Vec<Product> {
        let of = |inner, columns, of_input| Product { rows: 1, inner, columns, of_input };
        vec![of(self.inputs, HIDDEN, true), of(HIDDEN, self.outputs, false)]
    }
}

fn squares(inputs: usize, outputs: usize, dtype: DType) -> Network {
    let module = Box::new(Squares::new(inputs, outputs));
    Network::new("squares", module, stream(1), dtype, &Device::Cpu).unwrap()
}

/// Five samples a tick, from tick 40 on; the pass begins with row `start`.
fn forward(network: &Network, x: &Tensor, start: usize, blocks: &[usize]) -> (Tensor, pom2dib_dib::Trace) {
    let of_row = |row: usize| (40 + (start + row) as u64 / 5, (start + row) as u64 % 5);
    let rows = RowAddresses { seed: Seed::from_number(3), of_row: &of_row };
    network.forward(Input::Dense(x.contiguous().unwrap()), blocks, Some(rows)).unwrap()
}

#[test]
fn parameters_and_input_have_the_gradients_of_finite_differences() {
    let mut network = squares(9, 5, DType::F64);
    shake(&network);
    let (x, upstream) = (normal(2, &[12, 9], DType::F64), normal(3, &[12, 5], DType::F64));
    let (_, trace) = forward(&network, &x, 0, &[7, 5]);
    let to_input = network.backward_to_input(&trace, &upstream).unwrap();
    let cost = || inner(&forward(&network, &x, 0, &[7, 5]).0, &upstream);
    check_gradient("input", &x, &to_input[0], cost);
    for parameter in network.parameters() {
        check_gradient(&parameter.name, &parameter.value, &parameter.gradient, cost);
    }
    let names: Vec<&str> = network.parameters().map(|parameter| parameter.name.as_str()).collect();
    assert_eq!(names, ["squares/first.w", "squares/first.b", "squares/second.w", "squares/second.b"]);
}

#[test]
fn the_same_optimizer_trains_it_and_a_saved_state_goes_on() {
    let mut network = squares(3, 1, DType::F32);
    let x = normal(2, &[60, 3], DType::F32);
    let target = x.sqr().unwrap().sum_keepdim(1).unwrap();
    let error = |network: &Network| distance(&network.infer(&x).unwrap(), &target);
    let train = |network: &mut Network| {
        for _ in 0..100 {
            let (output, trace) = forward(network, &x, 0, &[20, 20, 20]);
            network.backward(&trace, &((output - &target).unwrap() / 60.0).unwrap()).unwrap();
            network.clip_gradients(10.0).unwrap();
            network.step(&AdamW::new(1e-2)).unwrap();
        }
    };
    let before = error(&network);
    train(&mut network);
    let saved: HashMap<String, Tensor> = network.export().unwrap().into_iter().collect();
    train(&mut network);
    assert!(error(&network) < 0.7 * before, "{} after {before}", error(&network));

    let mut resumed = squares(3, 1, DType::F32);
    resumed.import(&saved).unwrap();
    train(&mut resumed);
    for ((name, straight), (_, resumed)) in network.export().unwrap().iter().zip(&resumed.export().unwrap()) {
        assert!(numbers(straight) == numbers(resumed), "{name}");
    }
}

/// Draws belong to ticks and samples, not to the position of a row in its pass.
#[test]
fn a_round_in_parts_has_the_same_bits() {
    let (x, upstream) = (normal(2, &[20, 9], DType::F32), normal(3, &[20, 4], DType::F32));
    let mut whole = squares(9, 4, DType::F32);
    let (output, trace) = forward(&whole, &x, 0, &[10, 10]);
    whole.backward(&trace, &upstream).unwrap();
    let mut parts = squares(9, 4, DType::F32);
    for start in [0, 10] {
        let rows = |tensor: &Tensor| tensor.narrow(0, start, 10).unwrap();
        let (part, trace) = forward(&parts, &rows(&x), start, &[10]);
        assert!(numbers(&part) == numbers(&rows(&output)));
        parts.backward(&trace, &rows(&upstream)).unwrap();
    }
    for (whole, parts) in whole.parameters().zip(parts.parameters()) {
        assert!(numbers(&whole.gradient) == numbers(&parts.gradient), "{}", whole.name);
    }
    let later = forward(&parts, &x, 20, &[20]).0;
    assert!(numbers(&later) != numbers(&output), "other ticks have other draws");
}

#[test]
fn draws_without_addresses_and_traces_of_other_modules_are_refused() {
    let mut network = squares(3, 1, DType::F32);
    let x = normal(2, &[4, 3], DType::F32);
    let refused = network.forward(Input::Dense(x.clone()), &[4], None).err();
    assert!(matches!(refused, Some(Error::Addresses { .. })), "{refused:?}");
    let (output, trace) = crate::support::forward(&crate::support::network(3, 1, DType::F32), &x, &[4]);
    assert!(matches!(network.backward(&trace, &output), Err(Error::Trace)));
}
