use std::{collections::BTreeMap, time::SystemTime};

use bytes::Bytes;
use proto::v1::{Features, Phase, Stamp, Turn, report::Report};

use super::{Span, SpanOf, TraceOf, Traced, Traces, span::Pair};
use crate::{Context, ProfilerPhase, Role};

/// Measures the spans of a node in training and evaluation by the messages that its async half sees.
#[derive(Debug)]
pub struct NodeSpans {
    traces: Traces,
    run: Bytes,
    incarnation: u64,
    role: Role,
    index: u32,
    /// When the node's part in a trace began.
    parts: BTreeMap<TraceOf, SystemTime>,
    /// When an exchange began: by trace, part and peer.
    exchanges: BTreeMap<(TraceOf, u64, usize), SystemTime>,
    /// How many passes of a number have ended.
    passes: BTreeMap<u64, u64>,
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
            parts: BTreeMap::new(),
            exchanges: BTreeMap::new(),
            passes: BTreeMap::new(),
        }
    }

    /// A turn goes out to a transmitter, or has come from a receiver.
    pub fn begin(&mut self, peer: usize, turn: &Turn) {
        let Some((trace, part)) = self.traced(turn.stamp.as_ref()) else { return };
        // The closing turn of a stretch asks for nothing.
        if part == 0 && turn.requests.is_none() {
            return;
        }
        let now = SystemTime::now();
        self.parts.entry(trace).or_insert(now);
        self.exchanges.insert((trace, part, peer), now);
    }

    /// The features that answer it have come from a transmitter, or go out to a receiver.
    pub fn end(&mut self, peer: usize, features: &Features) {
        let Some((trace, part)) = self.traced(features.stamp.as_ref()) else { return };
        let Some(began) = self.exchanges.remove(&(trace, part, peer)) else { return };
        let peer = peer as u32;
        let of = match self.role {
            Role::Receiver => SpanOf::Exchange(Pair { receiver: self.index, transmitter: peer, part }),
            Role::Transmitter => SpanOf::Answer(Pair { receiver: peer, transmitter: self.index, part }),
        };
        self.record(trace, of, began, Vec::new());
    }

    /// The node reports something: with the report of a round or a pass its part in it ends.
    pub fn report(&mut self, report: &Report) {
        let (round, work, mut figures) = match report {
            Report::ReceiverPass(report) => return self.end_pass(report.pass),
            Report::TransmitterPass(report) => return self.end_pass(report.pass),
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
        let trace = TraceOf::Round(round);
        let Some(began) = self.parts.remove(&trace) else { return };
        let names = ProfilerPhase::ALL.iter().map(|phase| format!("pom2dib.{}_seconds", phase.name()));
        figures.extend(names.zip(work.iter().copied()));
        self.record(trace, self.itself(), began, figures);
        // What was given up in this round or before gets no answer any more. Passes come after all rounds.
        let next = TraceOf::Round(round + 1);
        self.parts = self.parts.split_off(&next);
        self.exchanges = self.exchanges.split_off(&(next, 0, 0));
    }

    fn end_pass(&mut self, number: u64) {
        let before = self.passes.entry(number).or_default();
        let trace = TraceOf::Pass { number, before: *before };
        *before += 1;
        if let Some(began) = self.parts.remove(&trace) {
            self.record(trace, self.itself(), began, Vec::new());
        }
        self.exchanges.retain(|(of, ..), _| *of != trace);
    }

    fn itself(&self) -> SpanOf {
        match self.role {
            Role::Receiver => SpanOf::Receiver(self.index),
            Role::Transmitter => SpanOf::Transmitter(self.index),
        }
    }

    /// The trace and the part to which a message belongs, where spans are wanted. Service has no traces.
    fn traced(&self, stamp: Option<&Stamp>) -> Option<(TraceOf, u64)> {
        let stamp = stamp.filter(|_| self.traces.are_wanted())?;
        match stamp.phase() {
            Phase::Train => Some((TraceOf::Round(stamp.round), stamp.part)),
            Phase::Evaluate => {
                let (number, before) = (stamp.pass, self.passes.get(&stamp.pass).copied().unwrap_or(0));
                Some((TraceOf::Pass { number, before }, stamp.round))
            }
            Phase::Serve => None,
        }
    }

    fn record(&self, of_trace: TraceOf, of: SpanOf, began: SystemTime, figures: Vec<(String, f64)>) {
        let trace = Traced { run: self.run.clone(), incarnation: self.incarnation, of: of_trace };
        self.traces.record(&Span { trace, of, began, ended: SystemTime::now(), figures });
    }
}
