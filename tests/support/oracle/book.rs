//! Features coded by code books, by their formulas: groups of values, each replaced by the nearest vector.

use candle_core::{Device, Result, Tensor};

use super::Oracle;

impl Oracle<'_> {
    /// Whether features are indices.
    pub(super) fn has_books(&self) -> bool {
        self.setup.scenario.train.coding() == scenario::Coding::CodeBook
    }

    /// What is sent of means [samples, d]: the values of the nearest vectors, whose gradients go to the means.
    pub(super) fn indexed(&self, entry: [usize; 3], mu: &Tensor) -> Result<Tensor> {
        mu + (self.nearest(entry, mu)? - mu)?.detach()
    }

    /// The bits of a feature's indices in nats.
    pub(super) fn index_bits(&self) -> Result<Tensor> {
        let train = &self.setup.scenario.train;
        Tensor::new(train.code_groups as f64 * f64::from(train.code_bits) * 2f64.ln(), &Device::Cpu)
    }

    /// What encoder and code book of an entry learn at a tick beside the objective: the mean over the samples of the
    /// squared distance, that to held means for the vectors, and the weighted one to held vectors for the means.
    pub(super) fn book_loss(&self, [k, t, m, tick]: [usize; 4]) -> Result<Tensor> {
        let mu = self.output([k, t, m, tick])?;
        let nearest = self.nearest([k, t, m], &mu)?;
        let of_vectors = (&nearest - mu.detach())?.sqr()?.sum(1)?.mean_all()?;
        let of_means = (&mu - nearest.detach())?.sqr()?.sum(1)?.mean_all()?;
        of_vectors + (of_means * self.setup.scenario.train.commitment)?
    }

    /// Of every mean the value of the vector nearest to its group, in which the vectors are variables.
    fn nearest(&self, [k, t, m]: [usize; 3], mu: &Tensor) -> Result<Tensor> {
        let vectors = self.variables[&format!("transmitter{k}/book{m}-{t}/vectors")].as_tensor();
        let (count, width) = vectors.dims2()?;
        let pieces = mu.detach().reshape(((), width))?;
        let book: Vec<Vec<f64>> = vectors.to_vec2()?;
        let mut chosen: Vec<f64> = Vec::new();
        for piece in pieces.to_vec2::<f64>()? {
            let distance = |vector: &Vec<f64>| -> f64 {
                vector.iter().zip(&piece).map(|(one, other)| (one - other).powi(2)).sum()
            };
            let distances: Vec<f64> = book.iter().map(distance).collect();
            let least = distances.iter().copied().fold(f64::INFINITY, f64::min);
            let nearest =
                distances.iter().position(|distance| *distance == least).expect("there is a vector");
            chosen.extend((0..count).map(|index| if index == nearest { 1.0 } else { 0.0 }));
        }
        let chosen = Tensor::from_vec(chosen, (pieces.dim(0)?, count), &Device::Cpu)?;
        chosen.matmul(vectors)?.reshape(mu.shape())
    }
}
