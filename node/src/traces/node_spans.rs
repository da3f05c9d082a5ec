use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use proto::v1::{Features, Phase, Stamp, Turn, report::Report};

use super::{Span, SpanOf, TracedRound, Traces, span::Pair};
use crate::{Context, ProfilerPhase, Role};

/// Measures the spans of a node in training by the messages that its async half sees.
#[derive(Debug)]
pub struct NodeSpans {
    traces: Traces,
    run: Bytes,
    incarnation: u64,
    role: Role,
    index: u32,
    /// When the node's part in a round began.
    rounds: BTreeMap<u64, SystemTime>,
    /// When an exchange began: by round, part and peer.
    exchanges: BTreeMap<(u64, u64, usize), SystemTime>,
}

impl NodeSpans {
    /// Those of a node in one incarnation.
    pub fn new(traces: &Traces, context: &Context, role: Role) -> Self {
        NodeSpans {
            traces: traces.clone(),
            run: context.run.clone(),
            incarnation: context.incarnation,
            role,
            index: context.index as u32,
            rounds: BTreeMap::new(),
            exchanges: BTreeMap::new(),
        }
    }

    /// A turn goes out to a transmitter, or has come from a receiver.
    pub fn begin(&mut self, peer: usize, turn: &Turn) {
        let Some((round, part)) = self.of_training(turn.stamp.as_ref()) else { return };
        // The closing turn of a stretch asks for nothing.
        if part == 0 && turn.requests.is_none() {
            return;
        }
        let now = SystemTime::now();
        self.rounds.entry(round).or_insert(now);
        self.exchanges.insert((round, part, peer), now);
    }

    /// The features that answer it have come from a transmitter, or go out to a receiver.
    pub fn end(&mut self, peer: usize, features: &Features) {
        let Some((round, part)) = self.of_training(features.stamp.as_ref()) else { return };
        let Some(began) = self.exchanges.remove(&(round, part, peer)) else { return };
        let peer = peer as u32;
        let of = match self.role {
            Role::Receiver => SpanOf::Exchange(Pair { receiver: self.index, transmitter: peer, part }),
            Role::Transmitter => SpanOf::Answer(Pair { receiver: peer, transmitter: self.index, part }),
        };
        self.record(round, of, began, Vec::new());
    }

    /// The node reports something: with the report of a round its part in it ends.
    pub fn report(&mut self, report: &Report) {
        let (round, work, mut figures) = match report {
            Report::ReceiverRound(report) => {
                let figures = vec![
                    ("pom2dib.cross_entropy_nats".into(), report.cross_entropy),
                    ("pom2dib.rate_nats".into(), report.rate),
                ];
                (report.round, &report.work, figures)
            }
            Report::TransmitterRound(report) => (report.round, &report.work, Vec::new()),
            _ => return,
        };
        let Some(began) = self.rounds.remove(&round) else { return };
        let names = ProfilerPhase::ALL.iter().map(|phase| format!("pom2dib.{}_seconds", phase.name()));
        figures.extend(names.zip(work.iter().copied()));
        let of = match self.role {
            Role::Receiver => SpanOf::Receiver(self.index),
            Role::Transmitter => SpanOf::Transmitter(self.index),
        };
        self.record(round, of, began, figures);
        // What was given up in this round or before gets no answer any more.
        self.rounds = self.rounds.split_off(&(round + 1));
        self.exchanges = self.exchanges.split_off(&(round + 1, 0, 0));
    }

    /// Round and part of a message of training, where spans are wanted.
    fn of_training(&self, stamp: Option<&Stamp>) -> Option<(u64, u64)> {
        let stamp = stamp.filter(|_| self.traces.are_wanted())?;
        (stamp.phase() == Phase::Train).then_some((stamp.round, stamp.part))
    }

    fn record(&self, round: u64, of: SpanOf, began: SystemTime, figures: Vec<(String, f64)>) {
        let round = TracedRound { run: self.run.clone(), incarnation: self.incarnation, round };
        self.traces.record(&Span { round, of, began, ended: SystemTime::now(), figures });
    }
}
