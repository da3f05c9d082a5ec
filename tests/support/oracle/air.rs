//! Power, gain, noise and equalisation by their formulas, symbol by symbol; draws from their addresses.

use std::f64::consts::PI;

use candle_core::{Device, Result, Tensor};
use randomness::Purpose;
use scenario::{Block, Channel, ChannelKind, Csi, Equaliser, Power, SnrDb, Transport};

use super::{Oracle, coding::Coded, rate::rate};

/// An entry's features at a tick in transit.
pub(super) struct Sent {
    /// The features for the rate of what is sent.
    pub(super) rated: Coded,
    /// The sent symbols, [samples, feature_dim].
    symbols: Tensor,
    /// The channel's effect on them; none over an ideal channel.
    pub(super) link: Option<Link>,
    /// Over the channel of a program's own that the tests add, z' = tanh(z) + n: n, [samples, feature_dim].
    bent: Option<Tensor>,
}

/// The channel's effect on the symbols of an entry.
pub(super) struct Link {
    /// h of every symbol, sample by sample.
    pub(super) gains: Vec<[f64; 2]>,
    samples: usize,
    /// N0.
    pub(super) noise_power: f64,
    /// n of every symbol, sample by sample.
    noise: Vec<[f64; 2]>,
    csi: Csi,
    equaliser: Equaliser,
}

impl Oracle<'_> {
    /// An entry [k, t, m, tick], encoded and scaled.
    pub(super) fn send(&self, key: [usize; 4]) -> Result<Sent> {
        let [k, t, m, tick] = key;
        let coded = self.encode(k, t, m, tick)?;
        // Bits that arrive are those that were sent: what is decoded of them is the feature itself.
        let channel = self.setup.scenario.channel_between(k, t);
        let Some(channel) = channel.filter(|channel| channel.transport == Transport::Analogue) else {
            return Ok(Sent { symbols: coded.z.clone(), rated: coded, link: None, bent: None });
        };
        let samples = coded.z.dim(0)?;
        let (link, bent) = match channel.kind.own() {
            Some(_) => (None, Some(self.bend_noise(channel, key, samples)?)),
            None => (Some(self.link(channel, key, samples)?), None),
        };
        let uses = (self.feature_dim() / 2) as f64;
        if channel.power == Power::Realised {
            let norm = coded.z.sqr()?.sum_keepdim(1)?.sqrt()?;
            let symbols = (coded.z.broadcast_div(&norm)? * uses.sqrt())?;
            return Ok(Sent { rated: coded, symbols, link, bent });
        }
        let energy = match &coded.posterior {
            Some((mu, std)) => (mu.sqr()? + std.sqr()?)?,
            None => coded.z.sqr()?,
        };
        let power = match channel.power {
            Power::Entry => (energy.sum_all()? / (uses * coded.z.dim(0)? as f64))?.reshape((1, 1))?,
            Power::Average => Tensor::new(&[[f64::from(self.means[&k][m][t])]], &Device::Cpu)?,
            _ => (energy.sum_keepdim(1)? / uses)?,
        };
        let scale = power.sqrt()?.recip()?;
        let scaled = |tensor: &Tensor| tensor.broadcast_mul(&scale);
        let posterior = match &coded.posterior {
            Some((mu, std)) => Some((scaled(mu)?, scaled(std)?)),
            None => None,
        };
        let z = scaled(&coded.z)?;
        Ok(Sent { symbols: z.clone(), rated: Coded { z, posterior }, link, bent })
    }

    /// What stands in the place of an entry that is heard together with others, given all granted entries of the tick:
    /// those that lie as far behind the first of their transmitter are heard with it, and one noise.
    pub(super) fn heard(&self, [k, t, m, tick]: [usize; 4], granted: &[(usize, usize)]) -> Result<Tensor> {
        let of = |k: usize| {
            let mut own: Vec<usize> =
                granted.iter().filter(|entry| entry.0 == k).map(|entry| entry.1).collect();
            own.sort_unstable();
            own
        };
        let slot = of(k).iter().position(|&own| own == m).expect("it is granted");
        let multiplied =
            |symbols: &Tensor, link: &Link, by: &dyn Fn([f64; 2]) -> [f64; 2]| -> Result<Tensor> {
                let (samples, d) = symbols.dims2()?;
                let pairs = symbols.reshape((samples, d / 2, 2))?;
                let (re, im) = (pairs.narrow(2, 0, 1)?.squeeze(2)?, pairs.narrow(2, 1, 1)?.squeeze(2)?);
                let (a, b) = (link.of_gains(|gain, _| by(gain)[0])?, link.of_gains(|gain, _| by(gain)[1])?);
                let products = [((&re * &a)? - (&im * &b)?)?, ((&re * &b)? + (&im * &a)?)?];
                Tensor::stack(&products, 2)?.reshape((samples, d))
            };
        let mut heard: Option<Tensor> = None;
        for sender in (0..self.setup.scenario.transmitters()).filter(|&k| self.setup.scenario.is_mac(k, t)) {
            let Some(&modality) = of(sender).get(slot) else { continue };
            let sent = self.send([sender, t, modality, tick])?;
            let link = sent.link.as_ref().expect("it crosses a channel");
            let own = multiplied(&sent.symbols, link, &|gain| gain)?;
            heard = Some(match heard {
                Some(others) => (others + own)?,
                None => own,
            });
        }
        let own = self.send([k, t, m, tick])?;
        let link = own.link.as_ref().expect("it crosses a channel");
        let moment = self.first_tick + tick as u64;
        let mut stream =
            self.setup.seed.stream(Purpose::AirNoise, &[u64::MAX, t as u64, slot as u64, 0], moment);
        let (samples, d) = own.symbols.dims2()?;
        let noise: Vec<f64> =
            (0..samples * d).map(|_| stream.normal() * (link.noise_power / 2.0).sqrt()).collect();
        let heard =
            (heard.expect("it is heard itself") + Tensor::from_vec(noise, (samples, d), &Device::Cpu)?)?;
        multiplied(&heard, link, &|[re, im]| [re / (re * re + im * im), -im / (re * re + im * im)])
    }

    /// n of an entry over the channel of a program's own: normal, with the deviation that the scenario says.
    fn bend_noise(&self, channel: &Channel, [k, t, m, tick]: [usize; 4], samples: usize) -> Result<Tensor> {
        let deviation = channel.parameters["deviation"].as_float().expect("it is a number");
        let (indices, moment) = ([k as u64, t as u64, m as u64, 0], self.first_tick + tick as u64);
        let mut stream = self.setup.seed.stream(Purpose::AirNoise, &indices, moment);
        let noise = (0..samples * self.feature_dim()).map(|_| deviation * stream.normal()).collect();
        Tensor::from_vec(noise, (samples, self.feature_dim()), &Device::Cpu)
    }

    /// The rate of what arrives of an entry, given the gains: of h* y / |h|, whose parts have noise N0 / 2 each.
    pub(super) fn rate_received(&self, key: &[usize; 4]) -> Result<Tensor> {
        let sent = self.send(*key)?;
        let link = sent.link.as_ref().expect("it crosses a channel");
        let (mu, std) = sent.rated.posterior.as_ref().expect("it has a density");
        let magnitude = link.of_gains(|[re, im], _| re.hypot(im))?;
        let magnitude = Tensor::stack(&[&magnitude, &magnitude], 2)?.flatten(1, 2)?;
        let turned = link.turned(self.feature_dim(), |[re, im], [a, b]| {
            [(re * a + im * b) / re.hypot(im), (re * b - im * a) / re.hypot(im)]
        })?;
        let z = (sent.rated.z.broadcast_mul(&magnitude)? + turned)?;
        let variance = (std.broadcast_mul(&magnitude)?.sqr()? + link.noise_power / 2.0)?;
        rate(self.setup.scenario.train.rate_estimator, &z, &mu.broadcast_mul(&magnitude)?, &variance.sqrt()?)
    }

    pub(super) fn link(
        &self,
        channel: &Channel,
        [k, t, m, tick]: [usize; 4],
        samples: usize,
    ) -> Result<Link> {
        let (seed, moment) = (self.setup.seed, self.first_tick + tick as u64);
        let (k, t, m) = (k as u64, t as u64, m as u64);
        let snr_db = match channel.snr_db {
            Some(SnrDb::Fixed(snr_db)) => snr_db,
            Some(SnrDb::Range(low, high)) => {
                low + (high - low) * seed.stream(Purpose::Snr, &[k, t, 0], moment).uniform()
            }
            None => f64::INFINITY,
        };
        let symbols = self.feature_dim() / 2;
        let gains = |sample: usize| {
            let (sample, block) = match channel.block {
                Block::Tick => (0, moment),
                Block::Round => (0, self.round),
                Block::Sample => (sample as u64, moment),
            };
            let mut stream = seed.stream(Purpose::Gain, &[k, t, 0, sample], block);
            match &channel.kind {
                ChannelKind::Awgn => vec![[1.0, 0.0]; symbols],
                ChannelKind::Rayleigh | ChannelKind::Mac => {
                    let (taps, subcarriers) = (channel.taps.unwrap_or(1), channel.subcarriers.unwrap_or(1));
                    let power = |tap: usize| (-channel.decay.unwrap_or(1.0) * tap as f64).exp();
                    let whole: f64 = (0..taps).map(power).sum();
                    let mut path =
                        |tap| [(); 2].map(|()| stream.normal() * (power(tap) / whole / 2.0).sqrt());
                    let paths: Vec<[f64; 2]> = (0..taps).map(&mut path).collect();
                    let turned = |symbol: usize, tap: usize| {
                        let angle = -2.0 * PI * (symbol * tap) as f64 / subcarriers as f64;
                        product(paths[tap], [angle.cos(), angle.sin()])
                    };
                    let sum = |one: [f64; 2], other: [f64; 2]| [one[0] + other[0], one[1] + other[1]];
                    let at = |symbol| (0..taps).map(|tap| turned(symbol, tap)).fold([0.0; 2], sum);
                    (0..symbols).map(at).collect()
                }
                other => panic!("the oracle knows no channel of kind {other:?}"),
            }
        };
        let noise_power = 10f64.powf(-snr_db / 10.0);
        let mut stream = seed.stream(Purpose::AirNoise, &[k, t, m, 0], moment);
        let mut symbol = || [(); 2].map(|()| stream.normal() * (noise_power / 2.0).sqrt());
        Ok(Link {
            gains: (0..samples).flat_map(gains).collect(),
            samples,
            noise_power,
            noise: (0..samples * self.feature_dim() / 2).map(|_| symbol()).collect(),
            csi: channel.csi,
            equaliser: channel.equaliser,
        })
    }
}

impl Sent {
    /// z', [samples, feature_dim].
    pub(super) fn arrived(&self) -> Result<Tensor> {
        if let Some(noise) = &self.bent {
            return self.symbols.tanh()? + noise;
        }
        let Some(link) = &self.link else { return Ok(self.symbols.clone()) };
        let (samples, d) = self.symbols.dims2()?;
        let pairs = self.symbols.reshape((samples, d / 2, 2))?;
        let part = |number| pairs.narrow(2, number, 1)?.squeeze(2);
        let (re, im) = (part(0)?, part(1)?);
        let of = |number: usize| link.of_gains(move |gain, link| product(link.weight(gain), gain)[number]);
        let (a, b) = (of(0)?, of(1)?);
        let through_re = (re.broadcast_mul(&a)? - im.broadcast_mul(&b)?)?;
        let through_im = (re.broadcast_mul(&b)? + im.broadcast_mul(&a)?)?;
        let through = Tensor::stack(&[through_re, through_im], 2)?.reshape((samples, d))?;
        through + link.turned(d, |gain, noise| product(link.weight(gain), noise))?
    }
}

impl Link {
    /// w of z' = w y.
    fn weight(&self, [re, im]: [f64; 2]) -> [f64; 2] {
        let power = re * re + im * im;
        let over = match (self.csi, self.equaliser) {
            (Csi::None, _) => return [1.0, 0.0],
            (_, Equaliser::Conjugate) => 1.0,
            (_, Equaliser::ZeroForcing) => power,
            (_, Equaliser::Mmse) => power + self.noise_power,
        };
        [re / over, -im / over]
    }

    /// A number of every symbol, [samples, feature_dim / 2].
    fn of_gains(&self, of: impl Fn([f64; 2], &Link) -> f64) -> Result<Tensor> {
        let values: Vec<f64> = self.gains.iter().map(|gain| of(*gain, self)).collect();
        Tensor::from_vec(values, (self.samples, self.gains.len() / self.samples), &Device::Cpu)
    }

    /// The noise after equalisation, [samples, feature_dim], given the gains.
    fn turned(&self, d: usize, of: impl Fn([f64; 2], [f64; 2]) -> [f64; 2]) -> Result<Tensor> {
        let values: Vec<f64> =
            self.gains.iter().zip(&self.noise).flat_map(|(gain, noise)| of(*gain, *noise)).collect();
        Tensor::from_vec(values, (self.samples, d), &Device::Cpu)
    }
}

fn product([a, b]: [f64; 2], [c, d]: [f64; 2]) -> [f64; 2] {
    [a * c - b * d, a * d + b * c]
}
