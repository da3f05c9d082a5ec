//! Lists of layers as ONNX. Between layers a plane is channels x height x width, as it is for ONNX; steps are steps x
//! channels, as here.

use anyhow::Context;
use candle_core::Tensor;
use dib::nn::LayerSummary;
use scenario::Layer;

use super::{graph::Graph, network::Exported, onnx::Attribute};

/// The layers of a network in a graph.
pub(super) struct Layers<'a> {
    pub(super) graph: &'a mut Graph,
    pub(super) network: &'a Exported,
    /// What comes out of each.
    pub(super) summaries: &'a [LayerSummary],
}

/// What a window is of.
struct Window<'a> {
    kernel: &'a [usize],
    stride: &'a [usize],
    padding: &'a [usize],
}

impl Layers<'_> {
    /// What the layers of a list make of x, whose axes behind the rows are these.
    pub(super) fn list(
        &mut self,
        layers: &[Layer],
        prefix: &str,
        axes: &[usize],
        mut x: String,
    ) -> anyhow::Result<String> {
        let mut axes = axes.to_vec();
        for (number, layer) in layers.iter().enumerate() {
            let number = format!("{prefix}{}", number + 1);
            let summary = self.summaries.iter().find(|summary| summary.number == number);
            let output = &summary.with_context(|| format!("there is no layer {number}"))?.output;
            x = self.layer(layer, &number, (&axes, output), x)?;
            axes.clone_from(output);
        }
        Ok(x)
    }

    fn layer(
        &mut self,
        layer: &Layer,
        number: &str,
        (axes, output): (&[usize], &[usize]),
        x: String,
    ) -> anyhow::Result<String> {
        let (name, network) = (format!("layer{number}"), self.network);
        Ok(match layer {
            Layer::Conv1d { kernel, stride, padding, groups, .. } => {
                let window = Window { kernel: &[*kernel], stride: &[*stride], padding: &[*padding] };
                self.over_steps(x, |layers, x| layers.convolution(&x, &name, &window, *groups, true))?
            }
            Layer::Conv2d { kernel, stride, padding, groups, .. } => {
                self.convolution(&x, &name, &Window { kernel, stride, padding }, *groups, true)?
            }
            Layer::MaxPool { kernel, stride } => self.pool("MaxPool", x, axes, (kernel, stride))?,
            Layer::AvgPool { kernel, stride } => self.pool("AveragePool", x, axes, (kernel, stride))?,
            Layer::GlobalMean => match axes.len() {
                3 => self.graph.over_axis("ReduceMean", &x, &[2, 3]),
                _ => self.graph.over_axis("ReduceMean", &x, &[1]),
            },
            Layer::Linear { .. } => {
                self.graph.linear(network, &x, &format!("{name}.w"), &format!("{name}.b"))?
            }
            Layer::Relu => self.graph.operation("Relu", &[&x]),
            Layer::Gelu => self.graph.operation("Gelu", &[&x]),
            Layer::LayerNorm => {
                let affine = format!("{name}.affine");
                match axes.len() {
                    3 => {
                        let last = self.graph.transpose(&x, &[0, 2, 3, 1]);
                        let normal = self.graph.layer_norm(network, &last, &affine)?;
                        self.graph.transpose(&normal, &[0, 3, 1, 2])
                    }
                    _ => self.graph.layer_norm(network, &x, &affine)?,
                }
            }
            Layer::GroupNorm { groups } => match axes.len() {
                2 => self
                    .over_steps(x, |layers, x| layers.group_norm(&x, &name, *groups, &[axes[1], axes[0]]))?,
                _ => self.group_norm(&x, &name, *groups, axes)?,
            },
            // In use nothing is dropped.
            Layer::Dropout { .. } => x,
            Layer::Flatten => self.graph.with_axes(&x, &[axes.iter().product()]),
            Layer::Residual(layers) => {
                let changed = self.list(layers, &format!("{number}."), axes, x.clone())?;
                let beside = match network.tensors.contains_key(&format!("{name}.shortcut.w")) {
                    true => self.shortcut(x, &format!("{name}.shortcut"), (axes, output))?,
                    false => x,
                };
                self.graph.operation("Add", &[&changed, &beside])
            }
        })
    }

    /// Something that ONNX does to channels x steps, of steps x channels.
    fn over_steps(
        &mut self,
        x: String,
        work: impl FnOnce(&mut Self, String) -> anyhow::Result<String>,
    ) -> anyhow::Result<String> {
        let turned = self.graph.transpose(&x, &[0, 2, 1]);
        let made = work(self, turned)?;
        Ok(self.graph.transpose(&made, &[0, 2, 1]))
    }

    /// Weights are [groups, values of a patch, outputs of a group] here, and [outputs, channels of a group, kernel]
    /// there.
    fn convolution(
        &mut self,
        x: &str,
        name: &str,
        window: &Window<'_>,
        groups: usize,
        has_bias: bool,
    ) -> anyhow::Result<String> {
        let weight = self.network.tensor(&format!("{name}.w"))?;
        let (_, depth, outputs) = weight.dims3()?;
        let taps: usize = window.kernel.iter().product();
        let turned = weight.reshape((groups, taps, depth / taps, outputs))?.permute((0, 3, 2, 1))?;
        let shape = [&[groups * outputs, depth / taps][..], window.kernel].concat();
        let turned = turned.contiguous()?.reshape(shape)?;
        let weight = self.graph.tensor(&format!("{name}.w"), &turned)?;
        let bias = match has_bias {
            true => Some(self.graph.parameter(self.network, &format!("{name}.b"))?),
            false => None,
        };
        let inputs: Vec<&str> = [x, &weight].into_iter().chain(bias.as_deref()).collect();
        let pads = [window.padding, window.padding].concat();
        let attributes = vec![
            sizes("kernel_shape", window.kernel),
            sizes("strides", window.stride),
            sizes("pads", &pads),
            Attribute::integer("group", groups as i64),
        ];
        Ok(self.graph.operation_with("Conv", &inputs, attributes))
    }

    fn pool(
        &mut self,
        kind: &str,
        x: String,
        axes: &[usize],
        (kernel, stride): (&[usize], &[usize]),
    ) -> anyhow::Result<String> {
        let attributes =
            |count: usize| vec![sizes("kernel_shape", &kernel[..count]), sizes("strides", &stride[..count])];
        match axes.len() {
            3 => Ok(self.graph.operation_with(kind, &[&x], attributes(2))),
            _ => self.over_steps(x, |layers, x| Ok(layers.graph.operation_with(kind, &[&x], attributes(1)))),
        }
    }

    /// Of channels, and places behind them.
    fn group_norm(&mut self, x: &str, name: &str, groups: usize, axes: &[usize]) -> anyhow::Result<String> {
        let of_group = axes.iter().product::<usize>() / groups;
        let grouped = self.graph.with_axes(x, &[groups, of_group]);
        let device = &candle_core::Device::Cpu;
        let ones = Tensor::ones(of_group, candle_core::DType::F32, device)?;
        let plain = self.graph.tensor(&format!("{name}.ones"), &ones)?;
        let zeros = self.graph.tensor(&format!("{name}.zeros"), &ones.zeros_like()?)?;
        let epsilon = Attribute::float("epsilon", kernels::layer_norm::EPSILON as f32);
        let attributes = vec![Attribute::integer("axis", -1), epsilon];
        let normal = self.graph.operation_with("LayerNormalization", &[&grouped, &plain, &zeros], attributes);
        let normal = self.graph.with_axes(&normal, axes);
        // A number for each channel, for all of its places.
        let affine = self.network.tensor(&format!("{name}.affine"))?;
        let shape = [&axes[..1], vec![1; axes.len() - 1].as_slice()].concat();
        let gain = self.graph.tensor(&format!("{name}.gain"), &affine.get(0)?.reshape(shape.as_slice())?)?;
        let bias = self.graph.tensor(&format!("{name}.bias"), &affine.get(1)?.reshape(shape.as_slice())?)?;
        let scaled = self.graph.operation("Mul", &[&normal, &gain]);
        Ok(self.graph.operation("Add", &[&scaled, &bias]))
    }

    /// The linear map of places to places, moving on as far as it must.
    fn shortcut(
        &mut self,
        x: String,
        name: &str,
        (axes, output): (&[usize], &[usize]),
    ) -> anyhow::Result<String> {
        let step = |axis: usize| axes[axis].div_ceil(output[axis]);
        match axes.len() {
            3 => {
                let window = Window { kernel: &[1, 1], stride: &[step(1), step(2)], padding: &[0, 0] };
                self.convolution(&x, name, &window, 1, false)
            }
            2 => {
                let window = Window { kernel: &[1], stride: &[step(0)], padding: &[0] };
                self.over_steps(x, |layers, x| layers.convolution(&x, name, &window, 1, false))
            }
            _ => {
                let weight = self.network.tensor(&format!("{name}.w"))?.squeeze(0)?;
                let weight = self.graph.tensor(&format!("{name}.w"), &weight)?;
                Ok(self.graph.operation("MatMul", &[&x, &weight]))
            }
        }
    }
}

fn sizes(name: &str, sizes: &[usize]) -> Attribute {
    let sizes: Vec<i64> = sizes.iter().map(|&size| size as i64).collect();
    Attribute::integers(name, &sizes)
}
