//! Common draws of all nodes and private draws of each: the addresses of a run's randomness.
//!
//! Common randomness (section IV-B of the paper) needs no message: every node computes it from the seed. Draws that are
//! private by convention are addressed by their node, so that tests can compute them too, and a restarted node repeats
//! them.

use randomness::{Purpose, Seed, Stream};

/// Embeddings are standard normal draws times this factor.
const EMBEDDING_SCALE: f64 = 0.1;

/// The phase of a draw. Training and evaluation never share a draw.
///
/// Ticks of training are counted from the start of the run. A draw made once in an evaluation pass uses the pass as its
/// tick; a draw made at every tick of a pass uses `pass * (ticks of a pass) + tick`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Algorithm 1.
    Train,
    /// Algorithm 2.
    Evaluate,
}

impl Phase {
    /// The phase as an index in an address.
    pub(crate) fn index(self) -> u64 {
        match self {
            Phase::Train => 0,
            Phase::Evaluate => 1,
        }
    }

    /// The purpose for this phase.
    pub(crate) fn choose(self, train: Purpose, evaluate: Purpose) -> Purpose {
        match self {
            Phase::Train => train,
            Phase::Evaluate => evaluate,
        }
    }
}

/// The common randomness u: `feature_dim` standard normals, the same at every node. `tick` is the tick n of
/// training, or the evaluation pass (Algorithm 2 draws u once).
pub fn common(seed: Seed, phase: Phase, tick: u64, feature_dim: usize) -> Vec<f32> {
    let purpose = phase.choose(Purpose::Common, Purpose::EvaluationCommon);
    let mut u = vec![0.0; feature_dim];
    seed.stream(purpose, &[], tick).fill_normal(&mut u);
    u
}

/// The embedding of a receiver: `dim` values of 0.1 x a standard normal, never trained. It identifies the receiver to
/// encoders and transmitters' selectors.
pub fn receiver_embedding(seed: Seed, receiver: usize, dim: usize) -> Vec<f32> {
    embedding(seed, &[0, receiver as u64], dim)
}

/// The embedding of (transmitter, modality): `dim` values of 0.1 x a standard normal, never trained. It identifies the
/// feature to a receiver's local decoder, (18).
pub fn entry_embedding(seed: Seed, transmitter: usize, modality: usize, dim: usize) -> Vec<f32> {
    embedding(seed, &[1, transmitter as u64, modality as u64], dim)
}

fn embedding(seed: Seed, indices: &[u64], dim: usize) -> Vec<f32> {
    let mut stream = seed.stream(Purpose::Embedding, indices, 0);
    (0..dim).map(|_| (EMBEDDING_SCALE * stream.normal()) as f32).collect()
}

/// The node whose selector draws.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SelectorNode {
    /// Receiver t: which transmitters to request.
    Receiver(usize),
    /// Transmitter k: which modalities to choose.
    Transmitter(usize),
}

/// Which nodes share u, the randomness that selectors get, and how often it is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CommonRandomness {
    /// All nodes share the draw of a tick, as in Algorithm 1: [`common`].
    Common,
    /// All nodes share one draw for all ticks and phases: u is a constant, by which selectors cannot coordinate.
    Fixed,
    /// Every node has its own draw of a tick. Its address has the node, so that every node can compute all draws, but a
    /// selector gets only that of its own node.
    Private,
}

impl CommonRandomness {
    /// The u that a node's selector gets at a tick of training, or in an evaluation pass: `feature_dim` standard
    /// normals.
    pub fn draw(
        self,
        seed: Seed,
        phase: Phase,
        node: SelectorNode,
        tick: u64,
        feature_dim: usize,
    ) -> Vec<f32> {
        match self {
            CommonRandomness::Common => common(seed, phase, tick, feature_dim),
            // Evaluation uses the u of training: selectors are trained with no other.
            CommonRandomness::Fixed => common(seed, Phase::Train, 0, feature_dim),
            CommonRandomness::Private => {
                let purpose = phase.choose(Purpose::Common, Purpose::EvaluationCommon);
                let mut u = vec![0.0; feature_dim];
                seed.stream(purpose, &node.address(), tick).fill_normal(&mut u);
                u
            }
        }
    }
}

impl SelectorNode {
    /// The node as part of an address: its role, then its index.
    fn address(self) -> [u64; 2] {
        match self {
            SelectorNode::Receiver(t) => [0, t as u64],
            SelectorNode::Transmitter(k) => [1, k as u64],
        }
    }
}

/// The stream from which a node's selector draws for a receiver at a tick; a receiver draws for itself.
/// Private by convention: only that node draws from it.
pub fn selection_stream(
    seed: Seed,
    phase: Phase,
    node: SelectorNode,
    for_receiver: usize,
    tick: u64,
) -> Stream {
    let purpose = phase.choose(Purpose::Selection, Purpose::EvaluationSelection);
    let [role, index] = node.address();
    seed.stream(purpose, &[role, index, for_receiver as u64], tick)
}

/// The standard normals epsilon of entry (k, t, m) at a tick, for z = mu + std * epsilon: `count` values,
/// sample by sample. Private by convention, to transmitter k.
pub fn reparameterisation(
    seed: Seed,
    phase: Phase,
    k: usize,
    t: usize,
    m: usize,
    tick: u64,
    count: usize,
) -> Vec<f32> {
    reparameterisation_from(seed, phase, [k, t, m], tick, (0, count))
}

/// The same without the first `skipped` values, which are not drawn.
pub fn reparameterisation_from(
    seed: Seed,
    phase: Phase,
    [k, t, m]: [usize; 3],
    tick: u64,
    (skipped, count): (usize, usize),
) -> Vec<f32> {
    feature_noise(seed, phase, &[k as u64, t as u64, m as u64], tick, (skipped, count))
}

/// The same for transmitter k's multicast feature of modality m: all receivers that are granted it share one draw,
/// which differs from their draws without multicast.
pub fn multicast_reparameterisation_from(
    seed: Seed,
    phase: Phase,
    [k, m]: [usize; 2],
    tick: u64,
    (skipped, count): (usize, usize),
) -> Vec<f32> {
    feature_noise(seed, phase, &[k as u64, m as u64], tick, (skipped, count))
}

fn feature_noise(
    seed: Seed,
    phase: Phase,
    address: &[u64],
    tick: u64,
    (skipped, count): (usize, usize),
) -> Vec<f32> {
    let purpose = phase.choose(Purpose::Reparameterisation, Purpose::EvaluationReparameterisation);
    let mut noise = vec![0.0; count];
    let mut stream = seed.stream(purpose, address, tick);
    stream.skip_normals(skipped as u64);
    stream.fill_normal(&mut noise);
    noise
}

/// Standard normals of the noise of transmitter k's modality m on a sample in an evaluation pass, `count` values.
pub fn sensor_noise(seed: Seed, [k, m]: [usize; 2], sample: usize, pass: u64, count: usize) -> Vec<f32> {
    let mut noise = vec![0.0; count];
    let address = [k as u64, m as u64, sample as u64];
    seed.named_stream(Purpose::Noise, "sensor", &address, pass).fill_normal(&mut noise);
    noise
}

/// The dithers of entry (k, t, m) at a tick, each below [`DITHERS`](crate::coding::DITHERS): `count` of them, sample by
/// sample. Transmitter and receiver draw the same.
pub fn dithers(seed: Seed, phase: Phase, [k, t, m]: [usize; 3], tick: u64, count: usize) -> Vec<u8> {
    let purpose = phase.choose(Purpose::Dither, Purpose::EvaluationDither);
    let mut dithers = vec![0; count];
    seed.stream(purpose, &[k as u64, t as u64, m as u64], tick).fill_below_32(&mut dithers);
    dithers
}

/// The keys of the proposals and of the arrival times by which entry (k, t, m) is simulated in an evaluation. Both ends
/// draw the first; the second is private to transmitter k by convention.
pub fn simulation_keys(seed: Seed, [k, t, m]: [usize; 3], tick: u64) -> [u64; 2] {
    let key = |purpose| seed.stream(purpose, &[k as u64, t as u64, m as u64], tick).below(u64::MAX);
    [key(Purpose::Proposal), key(Purpose::Arrival)]
}

/// The stream by which receiver t rounds the gradients of entry (k, t, m) at a tick of training. Private by convention.
pub fn gradient_rounding(seed: Seed, [k, t, m]: [usize; 3], tick: u64) -> Stream {
    seed.stream(Purpose::GradientRounding, &[k as u64, t as u64, m as u64], tick)
}

/// The stream of a network's initial weights, by the network's name in the run.
pub fn initial_weights(seed: Seed, name: &str) -> Stream {
    seed.named_stream(Purpose::Weights, name, &[], 0)
}

/// A sample at its position in the order of training.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct SampleAt {
    /// Index of the sample in the training set.
    pub sample: usize,
    /// The epoch, on which pairing, augmentation and noise depend.
    pub epoch: u64,
}

/// The samples of each tick: the same at every node, found without replaying earlier ticks.
///
/// The order is an endless sequence of uniform permutations of the training set, one for each epoch; a tick takes the
/// next `samples_per_tick` of it, so a tick may straddle two epochs.
///
/// ```
/// use pom2dib_dib::BatchOrder;
/// use randomness::Seed;
///
/// // Ten samples in ticks of four: tick 2 takes the last two of the first epoch and begins the second.
/// let mut order = BatchOrder::new(Seed::from_number(1), 10);
/// let epochs: Vec<u64> = order.positions(2, 4).iter().map(|at| at.epoch).collect();
/// assert_eq!(epochs, [0, 0, 1, 1]);
/// ```
pub struct BatchOrder {
    seed: Seed,
    samples: usize,
    /// The permutations last used, of even epochs first and odd ones second, so that ticks that straddle two epochs
    /// find both.
    permutations: [Option<(u64, Vec<u32>)>; 2],
}

impl BatchOrder {
    /// The order over a training set of `samples` samples.
    ///
    /// # Panics
    /// If there are no samples, or 2^32 or more: data readers refuse such sets.
    pub fn new(seed: Seed, samples: usize) -> Self {
        assert!(samples > 0 && u32::try_from(samples).is_ok(), "an order of {samples} samples was asked for");
        BatchOrder { seed, samples, permutations: [None, None] }
    }

    /// The samples of a tick, in order.
    pub fn positions(&mut self, tick: u64, samples_per_tick: usize) -> Vec<SampleAt> {
        let first = tick * samples_per_tick as u64;
        (first..first + samples_per_tick as u64).map(|place| self.at(place)).collect()
    }

    /// The sample at a position of the endless order.
    fn at(&mut self, place: u64) -> SampleAt {
        let epoch = place / self.samples as u64;
        let within = (place % self.samples as u64) as usize;
        SampleAt { sample: self.permutation(epoch)[within] as usize, epoch }
    }

    fn permutation(&mut self, epoch: u64) -> &[u32] {
        let (seed, samples) = (self.seed, self.samples);
        let draw = || (epoch, seed.stream(Purpose::Batch, &[], epoch).permutation(samples));
        let slot = &mut self.permutations[(epoch % 2) as usize];
        if slot.as_ref().is_some_and(|(cached, _)| *cached != epoch) {
            *slot = None;
        }
        &slot.get_or_insert_with(draw).1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn seed() -> Seed {
        Seed::from_number(1)
    }

    #[test]
    fn common_randomness_differs_by_phase_and_tick() {
        let u = common(seed(), Phase::Train, 5, 24);
        assert_eq!(u.len(), 24);
        assert_eq!(u, common(seed(), Phase::Train, 5, 24));
        assert_ne!(u, common(seed(), Phase::Train, 6, 24));
        assert_ne!(u, common(seed(), Phase::Evaluate, 5, 24));
        assert_ne!(u, common(Seed::from_number(2), Phase::Train, 5, 24));
    }

    #[test]
    fn a_fixed_u_is_equal_at_all_ticks_and_phases_and_a_private_u_differs_by_node() {
        let nodes = [SelectorNode::Receiver(0), SelectorNode::Receiver(1), SelectorNode::Transmitter(0)];
        let draw = |kind: CommonRandomness, phase, node, tick| kind.draw(seed(), phase, node, tick, 24);
        for node in nodes {
            for phase in [Phase::Train, Phase::Evaluate] {
                let shared = draw(CommonRandomness::Common, phase, node, 5);
                assert_eq!(shared, common(seed(), phase, 5, 24));
                let fixed = draw(CommonRandomness::Fixed, phase, node, 5);
                assert_eq!(fixed, common(seed(), Phase::Train, 0, 24));
                let own = draw(CommonRandomness::Private, phase, node, 5);
                assert_eq!(own.len(), 24);
                assert_eq!(own, draw(CommonRandomness::Private, phase, node, 5));
                assert_ne!(own, draw(CommonRandomness::Private, phase, node, 6));
                assert_ne!(own, shared);
                let others = nodes.into_iter().filter(|other| *other != node);
                others.for_each(|other| assert_ne!(own, draw(CommonRandomness::Private, phase, other, 5)));
            }
            let of_phase = |phase| draw(CommonRandomness::Private, phase, node, 5);
            assert_ne!(of_phase(Phase::Train), of_phase(Phase::Evaluate));
        }
    }

    #[test]
    fn embeddings_are_small_normals_and_all_different() {
        let embeddings = [
            receiver_embedding(seed(), 0, 10_000),
            receiver_embedding(seed(), 1, 10_000),
            entry_embedding(seed(), 0, 0, 10_000),
            entry_embedding(seed(), 0, 1, 10_000),
            entry_embedding(seed(), 1, 0, 10_000),
        ];
        for (index, values) in embeddings.iter().enumerate() {
            assert!(!embeddings[..index].contains(values));
            let square: f64 = values.iter().map(|value| f64::from(*value).powi(2)).sum();
            // The mean square has a standard error of 0.01 x sqrt(2 / 10,000): four of them.
            assert!((square / 1e4 - 0.01).abs() < 4.0 * 0.01 * 2f64.sqrt() / 1e2);
        }
    }

    #[test]
    fn private_streams_differ_by_node_receiver_tick_and_phase() {
        let (receiver, transmitter) = (SelectorNode::Receiver, SelectorNode::Transmitter);
        let addresses = [
            (Phase::Train, receiver(0), 0, 0),
            (Phase::Train, receiver(1), 1, 0),
            (Phase::Train, receiver(0), 0, 1),
            (Phase::Evaluate, receiver(0), 0, 0),
            (Phase::Train, transmitter(0), 0, 0),
            (Phase::Train, transmitter(0), 1, 0),
            (Phase::Train, transmitter(1), 0, 0),
            (Phase::Evaluate, transmitter(1), 0, 0),
        ];
        let first = |(phase, node, t, tick)| selection_stream(seed(), phase, node, t, tick).uniform();
        let draws = addresses.map(first);
        assert_eq!(draws, addresses.map(first));
        assert!((0..draws.len()).all(|index| !draws[..index].contains(&draws[index])));
    }

    #[test]
    fn noise_differs_by_entry_tick_and_phase() {
        let noise = |phase, (k, t, m), tick| reparameterisation(seed(), phase, k, t, m, tick, 2);
        let draws = [
            noise(Phase::Train, (0, 1, 2), 3),
            noise(Phase::Train, (1, 0, 2), 3),
            noise(Phase::Train, (0, 2, 1), 3),
            noise(Phase::Train, (0, 1, 2), 4),
            noise(Phase::Evaluate, (0, 1, 2), 3),
        ];
        assert_eq!(draws[0], noise(Phase::Train, (0, 1, 2), 3));
        assert!((0..draws.len()).all(|index| !draws[..index].contains(&draws[index])));
    }

    #[test]
    fn noise_of_a_multicast_feature_differs_by_feature_tick_and_phase_and_from_every_receivers() {
        let noise =
            |phase, entry, tick| multicast_reparameterisation_from(seed(), phase, entry, tick, (0, 4));
        let draws = [
            noise(Phase::Train, [0, 2], 3),
            noise(Phase::Train, [2, 0], 3),
            noise(Phase::Train, [0, 1], 3),
            noise(Phase::Train, [0, 2], 4),
            noise(Phase::Evaluate, [0, 2], 3),
        ];
        assert_eq!(draws[0], noise(Phase::Train, [0, 2], 3));
        assert!((0..draws.len()).all(|index| !draws[..index].contains(&draws[index])));
        for t in 0..5 {
            assert_ne!(draws[0], reparameterisation(seed(), Phase::Train, 0, t, 2, 3, 4));
        }
        let rest = multicast_reparameterisation_from(seed(), Phase::Train, [0, 2], 3, (1, 3));
        assert_eq!(rest, &draws[0][1..]);
    }

    #[test]
    fn weights_differ_by_name() {
        let first = |name| initial_weights(seed(), name).uniform();
        assert_eq!(first("receiver-0/joint"), first("receiver-0/joint"));
        assert_ne!(first("receiver-0/joint"), first("receiver-1/joint"));
    }

    proptest! {
        #[test]
        fn every_sample_comes_once_an_epoch(samples in 1usize..40, per_tick in 1usize..50) {
            let epochs = 4;
            let ticks = (epochs * samples).div_ceil(per_tick) as u64;
            let mut order = BatchOrder::new(seed(), samples);
            let all: Vec<SampleAt> = (0..ticks).flat_map(|tick| order.positions(tick, per_tick)).collect();
            for epoch in 0..epochs {
                let places = &all[epoch * samples..][..samples];
                prop_assert!(places.iter().all(|at| at.epoch == epoch as u64));
                let mut seen: Vec<usize> = places.iter().map(|at| at.sample).collect();
                seen.sort_unstable();
                prop_assert!(seen.into_iter().eq(0..samples));
            }
        }

        #[test]
        fn any_tick_is_found_directly(
            samples in 1usize..40,
            per_tick in 1usize..50,
            ticks in proptest::collection::vec(0u64..30, 1..20),
        ) {
            let mut in_order = BatchOrder::new(seed(), samples);
            let expected: Vec<_> = (0..30).map(|tick| in_order.positions(tick, per_tick)).collect();
            let mut order = BatchOrder::new(seed(), samples);
            for tick in ticks {
                prop_assert_eq!(&order.positions(tick, per_tick), &expected[tick as usize]);
            }
        }
    }

    #[test]
    fn epochs_are_permuted_anew() {
        let mut order = BatchOrder::new(seed(), 101);
        let mut epoch =
            |tick| -> Vec<usize> { order.positions(tick, 101).iter().map(|at| at.sample).collect() };
        let (first, second) = (epoch(0), epoch(1));
        assert_ne!(first, second);
        assert!(!first.is_sorted());
    }
}
