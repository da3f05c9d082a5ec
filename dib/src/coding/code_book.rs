//! Vector-quantised features: a code book for each entry, learned with the encoders, whose indices travel (A. van den
//! Oord, O. Vinyals and K. Kavukcuoglu, "Neural discrete representation learning", 2017; S. Xie et al., "Robust
//! information bottleneck for task-oriented communication with digital modulation", 2023).

use std::any::Any;

use candle_core::{DType, Device, Tensor};
use kernels::elementwise::{add, assign};
use randomness::Stream;

use super::{CodeError, Decoder, Encoder};
use crate::common::Phase;
use crate::nn::{self, AdamW, Blocks, Draws, Input, Kept, Layout, Module, Network, Parameter, Product};
use crate::{Error, Result};

type Read<T> = std::result::Result<T, CodeError>;

/// How a feature is cut, and how many vectors there are to choose from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CodeShape {
    /// Values of a feature.
    pub d: usize,
    /// The pieces of neighbouring values that it is cut into; their number divides `d`. All are coded by one book.
    pub groups: usize,
    /// Bits of an index, at most 31.
    pub bits: u32,
}

impl CodeShape {
    /// Values of a piece, and of a code vector.
    pub fn width(self) -> usize {
        self.d / self.groups
    }

    /// How many code vectors there are: 2^bits.
    pub fn vectors(self) -> usize {
        1 << self.bits
    }
}

/// The vectors of a code book, as both ends of a link have them.
#[derive(Clone, Debug, PartialEq)]
pub struct CodeVectors {
    shape: CodeShape,
    /// Vector after vector: numbers of f32, in the f64 that distances are computed in.
    values: Vec<f64>,
}

impl CodeVectors {
    /// As they came.
    ///
    /// # Errors
    /// If there are more or fewer, or one has a number that is not finite.
    pub fn from_bytes(bytes: &[u8], shape: CodeShape) -> Read<Self> {
        let wanted = 4 * shape.vectors() * shape.width();
        let left = bytes.len().checked_sub(wanted).ok_or(CodeError::Ends)?;
        if left > 0 {
            return Err(CodeError::Left { bytes: left });
        }
        let (numbers, _) = bytes.as_chunks::<4>();
        let values = numbers.iter().map(|bytes| f32::from_le_bytes(*bytes).into()).collect();
        let vectors = CodeVectors { shape, values };
        if vectors.is_finite() { Ok(vectors) } else { Err(CodeError::Damaged) }
    }

    /// As they travel: f32, lowest byte first.
    pub fn to_bytes(&self) -> Vec<u8> {
        self.values.iter().flat_map(|&value| (value as f32).to_le_bytes()).collect()
    }

    /// Whether all numbers are finite: others have no nearest piece, and do not travel.
    pub fn is_finite(&self) -> bool {
        self.values.iter().all(|value| value.is_finite())
    }

    /// The index of the nearest vector of each piece of these rows, by the Euclidean distance; of several as near, the
    /// lowest.
    pub fn nearest(&self, means: &[f32]) -> Vec<u32> {
        let means: Vec<f64> = means.iter().copied().map(f64::from).collect();
        means.chunks_exact(self.shape.width()).map(|piece| nearest(&self.values, piece)).collect()
    }

    /// The values that indices stand for, which are below 2^bits.
    pub fn look_up(&self, indices: &[u32]) -> Vec<f32> {
        let width = self.shape.width();
        let vector = |&index: &u32| &self.values[index as usize * width..][..width];
        indices.iter().flat_map(vector).map(|&value| value as f32).collect()
    }

    /// Adds indices to a stream, each with as many bits.
    pub fn encode(&self, indices: &[u32], encoder: &mut Encoder) {
        indices.iter().for_each(|&index| encoder.push_digits(index.into(), self.shape.bits));
    }

    /// Decodes `rows` rows of a stream and appends their values, d a row, to `values`.
    ///
    /// # Errors
    /// If the stream ends before.
    pub fn decode(&self, rows: usize, decoder: &mut Decoder<'_>, values: &mut Vec<f32>) -> Read<()> {
        for _ in 0..rows * self.shape.groups {
            // The book has a vector for each of the 2^bits indices: none is out of range.
            values.extend(self.look_up(&[decoder.digits(self.shape.bits)? as u32]));
        }
        Ok(())
    }
}

/// The code book of one entry, held by its transmitter.
///
/// It is a [`Network`] like others, so that checkpoints and fingerprints have it; it lives on the CPU. A vector that is
/// nearest to nothing gets no gradient: it stays, but for AdamW's fading moments, and is not drawn anew.
pub struct CodeBook {
    network: Network,
    shape: CodeShape,
}

impl CodeBook {
    /// A code book with standard normal vectors, which are as far apart as what encoders begin with. `commitment` is
    /// what a unit of squared distance costs the encoder.
    ///
    /// # Errors
    /// If features have no values.
    pub fn new(name: &str, shape: CodeShape, commitment: f64, dtype: DType, stream: Stream) -> Result<Self> {
        let module = Box::new(BookModule::new(shape, commitment));
        Ok(CodeBook { network: Network::new(name, module, stream, dtype, &Device::Cpu)?, shape })
    }

    /// The vectors as they are.
    ///
    /// # Errors
    /// If they cannot be read.
    pub fn vectors(&self) -> Result<CodeVectors> {
        let parameter = self.network.parameters().next().ok_or(Error::Trace)?;
        let values = numbers(&parameter.value.to_dtype(DType::F32)?)?;
        Ok(CodeVectors { shape: self.shape, values })
    }

    /// Adds the gradients of an objective in which z enters by `dz`, and of each row, with the number in `weights`,
    /// |sg(mu) - e|^2 + commitment |mu - sg(e)|^2, where e are the vectors of these indices and sg lets no gradient
    /// through; gives the whole gradient with respect to mu, to which that of z goes straight through. `indices` are
    /// those of the vectors nearest to mu as [`CodeVectors::nearest`] found them, while the book was what it is now. mu
    /// and `dz` are [rows, d], `weights` [rows, 1], all on the CPU. `blocks`: see [`Network::forward`].
    ///
    /// # Errors
    /// If shapes do not fit, or there is no vector of an index.
    pub fn learn(
        &mut self,
        (mu, indices): (&Tensor, &[u32]),
        dz: &Tensor,
        weights: &Tensor,
        blocks: &[usize],
    ) -> Result<Tensor> {
        // Below 2^24 an f32 is exact.
        let indices: Vec<f64> = indices.iter().copied().map(f64::from).collect();
        let indices = Tensor::from_vec(indices, (mu.dim(0)?, self.shape.groups), &Device::Cpu)?;
        let input = Tensor::cat(&[mu, &indices.to_dtype(mu.dtype())?], 1)?;
        let (_, trace) = self.network.forward(Input::Dense(input), blocks, None)?;
        let upstream = Tensor::cat(&[dz, weights], 1)?;
        let gradients = self.network.backward_to_input(&trace, &upstream)?;
        gradients.into_iter().next().ok_or(Error::Trace)
    }

    /// A step with the gradients so far, without weight decay.
    ///
    /// # Errors
    /// If the device fails.
    pub fn step(&mut self, rate: f64) -> Result<()> {
        self.network.step(&AdamW { decay: 0.0, ..AdamW::new(rate) })
    }

    /// The network that it is.
    pub fn network(&self) -> &Network {
        &self.network
    }

    /// The network, to restore it.
    pub fn network_mut(&mut self) -> &mut Network {
        &mut self.network
    }
}

/// From means and the indices of their vectors, [rows, d + groups], to what is sent of them, [rows, d], and behind it
/// what a row costs.
struct BookModule {
    shape: CodeShape,
    commitment: f64,
    layout: Layout,
}

impl BookModule {
    fn new(shape: CodeShape, commitment: f64) -> Self {
        let mut layout = Layout::default();
        layout.add("vectors".into(), &[shape.vectors(), shape.width()]);
        BookModule { shape, commitment, layout }
    }

    /// Adds one block's part of the gradient of the vectors; gives that of the means.
    fn add_block(
        &self,
        vectors: &Parameter,
        book: &[f64],
        [input, upstream]: [&Tensor; 2],
    ) -> Result<Tensor> {
        let (d, width, rows) = (self.shape.d, self.shape.width(), input.dim(0)?);
        let (given, upstream) = (numbers(input)?, numbers(upstream)?);
        let (mut to_book, mut to_mu) = (vec![0.0; book.len()], Vec::with_capacity(rows * d));
        for (given, wanted) in given.chunks_exact(self.inputs()).zip(upstream.chunks_exact(d + 1)) {
            let (means, indices) = given.split_at(d);
            let weight = wanted[d];
            for (at, (mean, dz)) in means.iter().zip(wanted).enumerate() {
                let place = indices[at / width] as usize * width + at % width;
                let apart = mean - book[place];
                to_book[place] -= 2.0 * weight * apart;
                to_mu.push(dz + 2.0 * weight * self.commitment * apart);
            }
        }
        add(&vectors.gradient, &like(to_book, &vectors.value)?)?;
        Ok(Tensor::from_vec(to_mu, (rows, d), &Device::Cpu)?.to_dtype(input.dtype())?)
    }
}

impl Module for BookModule {
    fn inputs(&self) -> usize {
        self.shape.d + self.shape.groups
    }

    fn outputs(&self) -> usize {
        self.shape.d + 1
    }

    fn layout(&self) -> &Layout {
        &self.layout
    }

    fn initialise(&self, parameters: &[Parameter], stream: &mut Stream) -> Result<()> {
        let [vectors] = parameters else { return Err(Error::Trace) };
        let drawn = (0..vectors.value.elem_count()).map(|_| stream.normal()).collect();
        Ok(assign(&vectors.value, &like(drawn, &vectors.value)?)?)
    }

    fn forward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        _: &[usize],
        _: Phase,
        _: Draws<'_>,
    ) -> Result<(Tensor, Kept)> {
        let ([vectors], Input::Dense(input)) = (parameters, input) else { return Err(Error::Trace) };
        let (d, width, rows) = (self.shape.d, self.shape.width(), input.dim(0)?);
        let (book, given) = (numbers(&vectors.value)?, numbers(input)?);
        let mut output: Vec<f64> = Vec::with_capacity(rows * (d + 1));
        for given in given.chunks_exact(self.inputs()) {
            let (means, indices) = given.split_at(d);
            let start = output.len();
            for &index in indices {
                let vector = book.chunks_exact(width).nth(index as usize).ok_or(Error::Trace)?;
                output.extend_from_slice(vector);
            }
            let cost = (1.0 + self.commitment) * squared_distance(means, &output[start..]);
            output.push(cost);
        }
        let output = Tensor::from_vec(output, (rows, d + 1), &Device::Cpu)?.to_dtype(input.dtype())?;
        Ok((output, Box::new(book)))
    }

    fn backward(
        &self,
        parameters: &[Parameter],
        input: &Input,
        kept: &(dyn Any + Send),
        upstream: &Tensor,
        blocks: Blocks<'_>,
        to_input: bool,
    ) -> Result<Vec<Tensor>> {
        let ([vectors], Input::Dense(input)) = (parameters, input) else { return Err(Error::Trace) };
        let book = nn::kept::<Vec<f64>>(kept)?;
        blocks.clear_first(&vectors.gradient)?;
        // Indices have no gradient.
        let mut to_mu = Vec::new();
        blocks.each(|_, start, rows| {
            let part = [&input.narrow(0, start, rows)?, &upstream.narrow(0, start, rows)?];
            to_mu.push(self.add_block(vectors, book, part)?);
            Ok(())
        })?;
        Ok(if to_input && !to_mu.is_empty() { vec![Tensor::cat(&to_mu, 0)?] } else { Vec::new() })
    }

    fn products(&self) -> Vec<Product> {
        Vec::new()
    }
}

/// The index of the vector that is nearest to a piece; of several as near, the lowest.
fn nearest(vectors: &[f64], piece: &[f64]) -> u32 {
    let (mut least, mut found) = (f64::INFINITY, 0);
    for (index, vector) in (0..).zip(vectors.chunks_exact(piece.len())) {
        let distance = squared_distance(piece, vector);
        if distance < least {
            (least, found) = (distance, index);
        }
    }
    found
}

fn squared_distance(left: &[f64], right: &[f64]) -> f64 {
    left.iter().zip(right).map(|(left, right)| (left - right) * (left - right)).sum()
}

fn numbers(tensor: &Tensor) -> Result<Vec<f64>> {
    Ok(tensor.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// A tensor of these numbers, of the shape and dtype of another.
fn like(values: Vec<f64>, other: &Tensor) -> Result<Tensor> {
    Ok(Tensor::from_vec(values, other.shape(), &Device::Cpu)?.to_dtype(other.dtype())?)
}
