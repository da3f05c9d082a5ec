//! Effects of an emulated link on a message. They are seeded, so that all nodes that compute them agree and runs repeat
//! exactly.

use dib::Phase;
use randomness::{Purpose, Seed};
use scenario::{EmulatedLink, Policy, Straggler};

use crate::Context;

/// Samples of an entry that travel together: those of a tick.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Packet {
    /// The entry's modality.
    pub modality: usize,
    /// The tick; in evaluation, the index of the group within the test set.
    pub tick: u64,
    /// Its size in bytes.
    pub bytes: usize,
}

/// The outcome of a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PacketOutcome {
    /// It arrives in time.
    Arrives,
    /// It never arrives.
    Lost,
    /// It arrives after the deadline.
    Late,
}

/// The outcomes of a message's packets on their way from a transmitter to a receiver.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkOutcome {
    /// The outcome of each packet.
    pub outcomes: Vec<PacketOutcome>,
    /// Seconds after sending by which the message is complete or its rest is lost.
    pub seconds: f64,
}

/// Sender, receiver and phase: pass 0 in training.
struct Address {
    seed: Seed,
    k: usize,
    t: usize,
    phase: Phase,
    pass: u64,
}

impl Context {
    /// The outcomes of the packets of a message, in sending order. `None` if the link is not emulated, so that all
    /// arrive at once. Entries of a sensor that is off (`evaluation.off`) and entries that training drops
    /// (`train.modality_dropout`) are lost under every straggler policy. `pass` is that of an evaluation, 0 in
    /// training.
    pub fn link_outcome(
        &self,
        (k, t): (usize, usize),
        phase: Phase,
        pass: u64,
        packets: &[Packet],
    ) -> Option<LinkOutcome> {
        let gone = |packet: &Packet| match phase {
            Phase::Train => self.is_dropped(k, packet),
            Phase::Evaluate => self.scenario.is_off(k, packet.modality),
        };
        let any_gone = packets.iter().any(gone);
        let link = match self.scenario.link_between(k, t) {
            None if any_gone => EmulatedLink::default(),
            link => link?,
        };
        let address = Address { seed: self.seed, k, t, phase, pass };
        let mut outcome = LinkOutcome::over(&link, &self.scenario.straggler, &address, packets);
        if any_gone {
            let packets = outcome.outcomes.iter_mut().zip(packets).filter(|(_, packet)| gone(packet));
            packets.for_each(|(outcome, _)| *outcome = PacketOutcome::Lost);
        }
        Some(outcome)
    }

    /// Whether training drops an entry at its tick. The draw's address has no receiver: a sensor fails for all of them.
    fn is_dropped(&self, k: usize, packet: &Packet) -> bool {
        let share = self.scenario.train.modality_dropout;
        let address = [k as u64, packet.modality as u64];
        share > 0.0 && self.seed.stream(Purpose::ModalityDropout, &address, packet.tick).uniform() < share
    }

    /// Seconds for a turn of `bytes` bytes from receiver t to transmitter k. Turns are never lost.
    pub fn turn_seconds(&self, (k, t): (usize, usize), bytes: usize) -> f64 {
        self.scenario.link_between(k, t).map_or(0.0, |link| link.delay + serialised(&link, bytes))
    }
}

impl LinkOutcome {
    fn over(link: &EmulatedLink, straggler: &Straggler, address: &Address, packets: &[Packet]) -> Self {
        let mut outcomes = Vec::with_capacity(packets.len());
        // `sent` is the time for which the sender is busy; other delays of packets overlap.
        let (mut sent, mut seconds) = (0.0, link.delay);
        for packet in packets {
            let mut draw = address.stream(packet);
            let once = serialised(link, packet.bytes);
            sent += once;
            let mut lost = draw.uniform() < link.loss;
            let mut on_its_way = link.delay + link.jitter * draw.uniform();
            while lost && straggler.policy == Policy::Wait {
                // The loss is known a round trip later, and the packet is sent again.
                sent += once;
                on_its_way += 2.0 * link.delay;
                lost = draw.uniform() < link.loss;
            }
            let mut arrives = sent + on_its_way;
            outcomes.push(match straggler.policy {
                Policy::Skip if lost => PacketOutcome::Lost,
                Policy::Skip if arrives > straggler.deadline => PacketOutcome::Late,
                _ => PacketOutcome::Arrives,
            });
            if straggler.policy == Policy::Skip {
                arrives = arrives.min(straggler.deadline);
            }
            seconds = arrives.max(seconds);
        }
        LinkOutcome { outcomes, seconds }
    }
}

impl Address {
    fn stream(&self, packet: &Packet) -> randomness::Stream {
        let (k, t, m) = (self.k as u64, self.t as u64, packet.modality as u64);
        match self.phase {
            Phase::Train => self.seed.stream(Purpose::Loss, &[k, t, m], packet.tick),
            Phase::Evaluate => self.seed.stream(Purpose::EvaluationLoss, &[k, t, m, self.pass], packet.tick),
        }
    }
}

/// Seconds to send `bytes` bytes at the link's bandwidth.
fn serialised(link: &EmulatedLink, bytes: usize) -> f64 {
    link.bandwidth.map_or(0.0, |bandwidth| bytes as f64 / bandwidth)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SKIP: Straggler = Straggler { policy: Policy::Skip, deadline: 1.0, patience: 30.0 };
    const WAIT: Straggler = Straggler { policy: Policy::Wait, ..SKIP };

    fn address(phase: Phase) -> Address {
        Address { seed: Seed::from_number(1), k: 1, t: 2, phase, pass: 0 }
    }

    fn packets(count: u64) -> Vec<Packet> {
        (0..count).map(|tick| Packet { modality: 0, tick, bytes: 100 }).collect()
    }

    fn count(link_outcome: &LinkOutcome, outcome: PacketOutcome) -> usize {
        link_outcome.outcomes.iter().filter(|other| **other == outcome).count()
    }

    #[test]
    fn so_many_are_lost_as_the_link_says_and_each_by_a_draw_of_its_own() {
        let link = EmulatedLink { loss: 0.3, ..EmulatedLink::default() };
        let link_outcome = LinkOutcome::over(&link, &SKIP, &address(Phase::Train), &packets(10_000));
        // Five standard deviations of a binomial count.
        assert!(
            count(&link_outcome, PacketOutcome::Lost).abs_diff(3000) < 230,
            "{}",
            count(&link_outcome, PacketOutcome::Lost)
        );
        assert_eq!(link_outcome.seconds, 0.0);
        // A packet's draw does not depend on other packets.
        let alone = LinkOutcome::over(&link, &SKIP, &address(Phase::Train), &packets(10_000)[77..78]);
        assert_eq!(alone.outcomes[0], link_outcome.outcomes[77]);
        let evaluated = LinkOutcome::over(&link, &SKIP, &address(Phase::Evaluate), &packets(10_000));
        assert_ne!(evaluated.outcomes, link_outcome.outcomes);
    }

    #[test]
    fn wait_loses_nothing_and_takes_longer() {
        let link =
            EmulatedLink { loss: 0.5, delay: 0.25, bandwidth: Some(1000.0), ..EmulatedLink::default() };
        let link_outcome = LinkOutcome::over(&link, &WAIT, &address(Phase::Train), &packets(1));
        // The number of retransmissions: each takes 0.1 s to send, and a round trip before it.
        let again = ((link_outcome.seconds - 0.35) / 0.6).round();
        assert!((link_outcome.seconds - (0.35 + 0.6 * again)).abs() < 1e-12, "{}", link_outcome.seconds);
        let many = LinkOutcome::over(&link, &WAIT, &address(Phase::Train), &packets(1000));
        assert_eq!(count(&many, PacketOutcome::Arrives), 1000);
        assert!(many.seconds > 150.0, "half of 1000 packets are sent again: {}", many.seconds);
    }

    #[test]
    fn packets_that_wait_for_others_may_come_too_late() {
        let link = EmulatedLink { delay: 0.5, bandwidth: Some(1000.0), ..EmulatedLink::default() };
        let link_outcome = LinkOutcome::over(&link, &SKIP, &address(Phase::Train), &packets(8));
        assert_eq!(
            (count(&link_outcome, PacketOutcome::Arrives), count(&link_outcome, PacketOutcome::Late)),
            (5, 3)
        );
        assert_eq!(link_outcome.outcomes[..5], [PacketOutcome::Arrives; 5]);
        assert_eq!(link_outcome.seconds, 1.0, "after the deadline nothing is to be expected");
    }

    proptest! {
        #[test]
        fn a_message_is_complete_or_given_up_in_time(
            loss in 0.0..0.9, delay in 0.0..2.0, jitter in 0.0..2.0, bandwidth in 10.0..1e5, count in 0u64..40,
        ) {
            let link = EmulatedLink { loss, delay, jitter, bandwidth: Some(bandwidth), ..EmulatedLink::default() };
            let skipped = LinkOutcome::over(&link, &SKIP, &address(Phase::Train), &packets(count));
            prop_assert_eq!(skipped.outcomes.len() as u64, count);
            prop_assert!(skipped.seconds <= delay.max(SKIP.deadline));
            let waited = LinkOutcome::over(&link, &WAIT, &address(Phase::Train), &packets(count));
            prop_assert!(waited.outcomes.iter().all(|outcome| *outcome == PacketOutcome::Arrives));
            prop_assert!(waited.seconds >= skipped.seconds);
        }
    }
}
