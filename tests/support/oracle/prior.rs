//! Rates against a learned prior, and dithered features, by their formulas: masses are differences of sigmoids.

use std::f64::consts::PI;

use candle_core::{DType, Device, Result, Tensor};
use dib::{Phase, dithers};

use super::{Oracle, coding::Coded};

/// Components of a prior.
const COMPONENTS: usize = 3;

impl Oracle<'_> {
    /// The rate of an entry's features at a tick against its prior: the mean over the samples, in nats.
    pub(super) fn prior_rate(&self, [k, t, m]: [usize; 3], coded: &Coded) -> Result<Tensor> {
        let parameter =
            |name: &str| self.variables[&format!("transmitter{k}/prior{m}-{t}/{name}")].as_tensor();
        let logits = parameter("logits");
        let weights = logits.exp()?.broadcast_div(&logits.exp()?.sum_keepdim(0)?)?;
        let of = |z: &Tensor, value: &dyn Fn(&Tensor, &Tensor) -> Result<Tensor>| -> Result<Tensor> {
            let mut sum = z.zeros_like()?;
            for c in 0..COMPONENTS {
                let scale = parameter("log_scales").get(c)?.exp()?;
                let y = z.broadcast_sub(&parameter("locations").get(c)?)?.broadcast_div(&scale)?;
                sum = (sum + value(&y, &scale)?.broadcast_mul(&weights.get(c)?)?)?;
            }
            Ok(sum)
        };
        let below = |y: &Tensor, _: &Tensor| sigmoid(y);
        let own = match &coded.posterior {
            Some((mu, std)) => {
                // Logistic: s(y) s(-y) / scale.
                let density =
                    |y: &Tensor, scale: &Tensor| (sigmoid(y)? * sigmoid(&y.neg()?)?)?.broadcast_div(scale);
                let deviation = ((&coded.z - mu)? / std)?;
                let posterior = (((deviation.sqr()? * -0.5)? - std.log()?)? - 0.5 * (2.0 * PI).ln())?;
                (posterior - of(&coded.z, &density)?.log()?)?
            }
            None => {
                let half = (parameter("log_step").exp()? * 0.5)?;
                let above = of(&coded.z.broadcast_add(&half)?, &below)?;
                (above - of(&coded.z.broadcast_sub(&half)?, &below)?)?.log()?.neg()?
            }
        };
        own.sum(1)?.mean(0)
    }

    /// Means as they are sent: rounded to the steps of the current tables. With the rounded integers held fixed, z
    /// moves with the mean, and with the step by (z - mu) / step.
    pub(super) fn dither(&self, [k, t, m, tick]: [usize; 4], mu: &Tensor) -> Result<Tensor> {
        let (samples, d) = mu.dims2()?;
        let parameter =
            |name: &str| self.variables[&format!("transmitter{k}/prior{m}-{t}/{name}")].as_tensor();
        // From the tables made last, if none are made in this round.
        let is_new = self.round.is_multiple_of(self.setup.scenario.train.table_every);
        let log_step = parameter("log_step");
        let in_force = if is_new { log_step.clone() } else { parameter("held").get(3 * COMPONENTS)? };
        let steps: Vec<f64> = in_force.exp()?.to_vec1()?;
        let moment = self.first_tick + tick as u64;
        let drawn = dithers(self.setup.seed, Phase::Train, [k, t, m], moment, samples * d);
        let means: Vec<f64> = mu.flatten_all()?.to_vec1()?;
        let noise = |(at, (mean, dither)): (usize, (&f64, &u8))| {
            // As an f32, which is what travels.
            let (step, u) = (f64::from(steps[at % d] as f32), (f64::from(*dither) - 16.0) / 32.0);
            let z = step * ((mean / step + u).round() - u);
            (z - mean) / step
        };
        let noise: Vec<f64> = means.iter().zip(&drawn).enumerate().map(noise).collect();
        let noise = Tensor::from_vec(noise, (samples, d), &Device::Cpu)?.to_dtype(DType::F64)?;
        let sent = (mu + noise.broadcast_mul(&in_force.exp()?)?)?.detach();
        let live = (mu + noise.broadcast_mul(&log_step.exp()?)?)?;
        sent + (&live - live.detach())?
    }
}

fn sigmoid(y: &Tensor) -> Result<Tensor> {
    (y.neg()?.exp()? + 1.0)?.recip()
}
