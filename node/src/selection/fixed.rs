use candle_core::Tensor;
use dib::{ChoiceGrid, Phase, SelectorNode, receiver_embedding, selection_stream};

use crate::{Context, NodeError, Selector, capped};

/// Give up after this many draws if every one left some receiver without an entry.
const MOST_DRAWS: u64 = 10_000;

/// The one selection of a run of method `rs-dib`: the draws of the untrained selectors at u_0, capped, and repeated
/// until every receiver has a granted entry. Weights and draws are addressed, so that every node finds the same
/// selection.
pub struct FixedSelection {
    /// By transmitter and receiver: the granted modalities.
    granted: Vec<Vec<Vec<usize>>>,
}

impl FixedSelection {
    /// Draws the selection.
    ///
    /// # Errors
    /// If the limits always leave some receiver without an entry.
    pub fn draw(context: &Context) -> Result<Self, NodeError> {
        let untrained = Untrained::new(context)?;
        (0..MOST_DRAWS)
            .map(|number| untrained.draw(number))
            .find(FixedSelection::serves_everybody)
            .ok_or_else(|| {
                NodeError::Input(format!(
                    "rs-dib: of {MOST_DRAWS} selections none leaves every receiver something: raise \
                     network.transmitter_limit"
                ))
            })
    }

    /// Which transmitters receiver t requests, by index.
    pub fn requests(&self, t: usize) -> Vec<bool> {
        self.granted.iter().map(|granted| !granted[t].is_empty()).collect()
    }

    /// Whether transmitter k sends receiver t modality m.
    pub fn grants(&self, k: usize, t: usize, m: usize) -> bool {
        self.granted[k][t].contains(&m)
    }

    fn serves_everybody(&self) -> bool {
        let receivers = self.granted.first().map_or(0, Vec::len);
        (0..receivers).all(|t| self.granted.iter().any(|granted| !granted[t].is_empty()))
    }
}

/// Outputs of all selectors with initial weights at u_0.
struct Untrained<'a> {
    context: &'a Context,
    receivers: Vec<(Selector, Vec<Vec<f32>>)>,
    /// By transmitter: logits for every receiver.
    transmitters: Vec<(Selector, Vec<Vec<f32>>)>,
}

impl<'a> Untrained<'a> {
    fn new(context: &'a Context) -> Result<Self, NodeError> {
        let (scenario, d) = (&context.scenario, context.feature_dim());
        let u = |node| context.u(Phase::Train, node, 0);
        let for_receivers = |u: &[f32]| -> Vec<f32> {
            let of = |t: usize| [u, receiver_embedding(context.seed, t, d).as_slice()].concat();
            (0..scenario.receivers()).flat_map(of).collect()
        };
        let with_logits = |selector: Selector, input: &[f32], rows: usize| {
            let input = Tensor::from_slice(input, (rows, input.len() / rows), &context.device)?;
            let logits = selector.logits(&input)?;
            Ok((selector, logits))
        };
        Ok(Untrained {
            context,
            receivers: (0..scenario.receivers())
                .map(|t| {
                    let selector = Selector::of_receiver(context, t)?;
                    with_logits(selector, &u(SelectorNode::Receiver(t)), 1)
                })
                .collect::<Result<_, NodeError>>()?,
            transmitters: (0..scenario.transmitters())
                .map(|k| {
                    let selector = Selector::of_transmitter(context, k)?;
                    let input = for_receivers(&u(SelectorNode::Transmitter(k)));
                    with_logits(selector, &input, scenario.receivers())
                })
                .collect::<Result<_, NodeError>>()?,
        })
    }

    /// The candidate selection of index `number`: its draws are addressed by that number as the tick.
    fn draw(&self, number: u64) -> FixedSelection {
        let (seed, receivers) = (self.context.seed, self.receivers.len());
        let stream = |node, t| selection_stream(seed, Phase::Train, node, t, number);
        let requests = self.receivers.iter().enumerate().flat_map(|(t, (selector, logits))| {
            selector.draw_rows(logits, |_| stream(SelectorNode::Receiver(t), t))
        });
        let requests: Vec<_> = requests.collect();
        let granted = self.transmitters.iter().enumerate().map(|(k, (selector, logits))| {
            let drawn = selector.draw_rows(logits, |t| stream(SelectorNode::Transmitter(k), t));
            let mut choices = ChoiceGrid::new(1, receivers, self.context.scenario.modalities(k));
            for t in (0..receivers).filter(|&t| requests[t].contains(k)) {
                drawn[t].items.iter().for_each(|&m| choices.set(0, t, m));
            }
            let grants = capped(&self.context.scenario, seed, k, Phase::Train, number, &choices);
            let of = |t| grants.for_receiver(t).into_iter().map(|(_, m)| m).collect();
            (0..receivers).map(of).collect()
        });
        FixedSelection { granted: granted.collect() }
    }
}
