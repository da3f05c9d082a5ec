use dib::{Air, Channel, Crossing, channel_uses};
use digital::{Chain, Format, Heard, Modulation};

use super::SentBlock;
use crate::{Context, air};

/// The link from a transmitter to a receiver, where bits go over it.
pub struct DigitalLink {
    air: Air,
    modulation: Option<Modulation>,
    code_rate: Option<f64>,
    chain: Chain,
}

impl DigitalLink {
    /// That from transmitter k to receiver t; none where no bits go over the air.
    pub fn new(context: &Context, k: usize, t: usize) -> Option<Self> {
        let channel = context.scenario.channel_between(k, t).filter(|channel| channel.is_digital())?;
        let modulation = |modulation| match modulation {
            scenario::Modulation::Bpsk => Modulation::Bpsk,
            scenario::Modulation::Qpsk => Modulation::Qpsk,
            scenario::Modulation::Qam16 => Modulation::Qam16,
            scenario::Modulation::Qam64 => Modulation::Qam64,
        };
        Some(DigitalLink {
            air: air(&context.scenario, context.seed, k, t)?,
            modulation: channel.modulation.map(modulation),
            code_rate: channel.code_rate,
            chain: Chain::default(),
        })
    }

    /// Sends a transport block in place of the given number of samples of an entry.
    pub fn send(&mut self, crossing: &Crossing, rows: usize, payload: &[u8]) -> SentBlock {
        let uses = rows * channel_uses(self.air.feature_dim);
        let format = Format::new(payload.len(), uses, self.modulation, self.code_rate);
        let mut symbols = self.air.symbols(crossing);
        let received = self.chain.transmit(payload, &format, |symbol| {
            let (value, gain, noise) = symbols.hear(symbol);
            Heard { value, gain, noise }
        });
        SentBlock {
            // An error that the check does not see is one, too: the receiver would notice a code that is none.
            is_received: received.as_deref() == Some(payload),
            uses: format.uses(),
            measure: Channel::<f32>::measure(&self.air, crossing, rows),
        }
    }
}
