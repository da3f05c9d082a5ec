//! Rules of selection that are no network: what a user's program brings in the place of learned selectors and
//! REINFORCE, (21) and (22).

use randomness::Stream;

use crate::{Phase, Result};

/// What a [`Policy`] chooses from, at one node and tick.
#[derive(Clone, Copy, Debug)]
pub struct Decision<'a> {
    /// Training or evaluation.
    pub phase: Phase,
    /// The number of this decision: in training the tick, counted from 0 over the whole run. In evaluation a choice
    /// holds for a pass (Algorithm 2), and this is the number of the pass; with `evaluation.draw = "tick"` it is a
    /// number of its own for every group of samples, one more from group to group.
    pub tick: u64,
    /// At a receiver its own index; at a transmitter that of the receiver for which modalities are chosen.
    pub receiver: usize,
    /// How many items there are, numbered from 0: at a receiver the K transmitters, at a transmitter its m(k)
    /// modalities.
    pub items: usize,
    /// How many may be chosen at most, from 1 to `items`: E_t at a receiver, (9), and min(E_k, m(k)) at a transmitter.
    /// There the [cap](crate::cap::cap()), (10), then draws lots among what was chosen for all receivers.
    pub limit: usize,
    /// u: `feature_dim` standard normals, the same at all nodes (unless `train.common_randomness` is `"private"`), by
    /// which policies of different nodes can act in concert.
    pub u: &'a [f32],
    /// The strength of links in dB, |h|^2 Es/N0: at a receiver those of its links, by transmitter; at a transmitter one
    /// value, that of its link to the receiver. `None` of a link of which the node knows no gain that changes from tick
    /// to tick. Where a choice holds for a pass, they are those of the pass's first samples.
    pub strengths_db: &'a [Option<f64>],
}

/// A choice of a round, and what it did cost.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Judged<'a> {
    /// The tick of the [`Decision`].
    pub tick: u64,
    /// The receiver of the decision.
    pub receiver: usize,
    /// What the policy chose, in the order in which it named the items, and before the cap.
    pub items: &'a [usize],
    /// In nats: the cost by which the score function would judge a selector's draw, before any baseline and without an
    /// entropy bonus. At a receiver that is its cost of the tick: objective, (20), plus penalty and sparse term. At a
    /// transmitter it is the sum of the costs of all receivers that requested it at the tick, and with
    /// `train.credit = "own"` that of `receiver` alone. Under the objective `worst` each cost comes times the factor of
    /// its receiver's weight, and with `train.credit = "shared"` a receiver is judged by the sum over all receivers.
    pub cost: f64,
}

/// A selection rule of a user's program. At a receiver it chooses the transmitters to request; at a transmitter it chooses
/// the modalities to send to a receiver that requested it. Each node has an instance of its own.
///
/// What a run needs to have the same bits in every process, and after every restart:
///
/// - **Choices are addressed.** [`choose`](Self::choose) depends on the decision, the stream and the state, and on
///   nothing else: no clock, no generator of its own, no earlier call. All calls of a round come before what is learnt
///   from it; evaluations may come between rounds, and learn nothing.
/// - **State.** All that [`learn`](Self::learn) changes is in [`state`](Self::state), a list of numbers whose length
///   never changes, and which begins the same whenever the policy is made. Checkpoints keep it, and the run's
///   fingerprint covers it.
///
/// ```
/// use pom2dib_dib::{Decision, Phase, Policy, Result};
/// use randomness::{Purpose, Seed, Stream};
///
/// /// The items in turn, as many as may be chosen. It learns nothing.
/// struct InTurn;
///
/// impl Policy for InTurn {
///     fn choose(&self, decision: &Decision<'_>, _: &mut Stream) -> Result<Vec<usize>> {
///         let first = (decision.tick % decision.items as u64) as usize;
///         Ok((0..decision.limit).map(|place| (first + place) % decision.items).collect())
///     }
/// }
///
/// let decision = Decision {
///     phase: Phase::Train,
///     tick: 5,
///     receiver: 0,
///     items: 3,
///     limit: 2,
///     u: &[0.5, -1.0],
///     strengths_db: &[None; 3],
/// };
/// let mut stream = Seed::from_number(1).stream(Purpose::Test, &[], 5);
/// assert_eq!(InTurn.choose(&decision, &mut stream)?, [2, 0]);
/// assert!(InTurn.state().is_empty());
/// # Ok::<(), pom2dib_dib::Error>(())
/// ```
pub trait Policy: Send + Sync {
    /// The items that are chosen: from 1 to `limit` different ones, each below `items`. All that is drawn comes from
    /// the stream, which begins anew at every decision.
    ///
    /// # Errors
    /// A policy may fail, with a line of its own ([`Error::Own`](crate::Error::Own)): it ends the run.
    fn choose(&self, decision: &Decision<'_>, stream: &mut Stream) -> Result<Vec<usize>>;

    /// Learns from a round's choices and their costs, once after every round in which this node chose: by tick, and at
    /// a transmitter within a tick by receiver. The default learns nothing.
    ///
    /// # Errors
    /// As [`choose`](Self::choose).
    fn learn(&mut self, _round: &[Judged<'_>]) -> Result<()> {
        Ok(())
    }

    /// All that has been learnt: finite numbers, always as many. The default has none.
    fn state(&self) -> Vec<f64> {
        Vec::new()
    }

    /// Takes back a [`state`](Self::state), of which nothing that was learnt before may remain.
    ///
    /// # Errors
    /// A line of its own on numbers that cannot be its state. It is always given as many as it has.
    fn restore(&mut self, _state: &[f64]) -> Result<()> {
        Ok(())
    }

    /// Names and versions of libraries beside this program by which it chooses and learns, such as `numpy 2.3.5`: the
    /// run's bits depend on them, and its summary says so.
    fn libraries(&self) -> Vec<String> {
        Vec::new()
    }
}
