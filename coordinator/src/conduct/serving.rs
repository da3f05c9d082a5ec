//! Service: batches out, answers in.

use std::collections::BTreeMap;

use node::Role;
use proto::v1::{Ready, Reload, order::Order, report::Report};
use tokio::time::Instant;

use super::Conductor;
use crate::{
    CoordinatorError, Outcome, interruption::Interruption, members::Member, progress::Live, service::Event,
    stream::Newer,
};

/// How large what the nodes have is.
#[derive(Clone, Debug, Default)]
pub(crate) struct Sizes {
    /// Rows of the test set.
    test_samples: u64,
    /// Values a sample of every modality of every transmitter, in order.
    widths: Vec<Vec<u64>>,
}

impl Sizes {
    /// Takes what nodes say. What those have that are gone stays as it was.
    pub(super) fn take(&mut self, ready: &BTreeMap<Member, Ready>) {
        for (member, ready) in ready {
            match member.role {
                Role::Receiver => self.test_samples = ready.test_samples,
                Role::Transmitter => {
                    let least = self.widths.len().max(member.index + 1);
                    self.widths.resize(least, Vec::new());
                    self.widths[member.index].clone_from(&ready.widths);
                }
            }
        }
    }

    /// Values a sample, in (k, m) order.
    fn entries(&self, modalities: impl Iterator<Item = usize>) -> Result<Vec<usize>, CoordinatorError> {
        let mut entries = Vec::new();
        for ((k, own), modalities) in self.widths.iter().enumerate().zip(modalities) {
            if own.len() != modalities || own.iter().any(|width| !(1..=1 << 28).contains(width)) {
                let line =
                    format!("transmitter {k}: it tells {} widths of {modalities} modalities", own.len());
                return Err(CoordinatorError::Run(line));
            }
            entries.extend(own.iter().map(|width| *width as usize));
        }
        Ok(entries)
    }
}

impl Conductor {
    /// Serves the stream until it ends, or a node is lost.
    pub(super) async fn serve(&mut self) -> Result<Outcome, Interruption> {
        self.shared_status.phase("serving");
        let (rows, piece) = (self.sizes.test_samples, self.scenario.piece_samples() as u64);
        if rows == 0 {
            return Err(CoordinatorError::Run(
                "the nodes have no test set, by which samples are numbered".into(),
            )
            .into());
        }
        let modalities = (0..self.scenario.transmitters()).map(|k| self.scenario.modalities(k));
        let widths = self.sizes.entries(modalities)?;
        if let Some(stream) = &mut self.stream {
            stream.begin((rows, piece, self.setup.version()), &self.classes, widths)?;
        }
        if let Some(newer) = &mut self.newer {
            newer.forget();
        }
        let mut live = Live::new();
        while !self.serve_on(&mut live).await? {}
        live.end();
        self.dismiss().await;
        let served = self.end_stream().await;
        served.ok_or_else(|| CoordinatorError::Run("nothing is served".into()).into())
    }

    /// Does what is due, then takes what comes first; true if the stream has ended.
    async fn serve_on(&mut self, live: &mut Live) -> Result<bool, Interruption> {
        // It stands aside while the network is looked after, and is put back whatever happens.
        let Some(mut stream) = self.stream.take() else { return Ok(true) };
        let done = async {
            if self.stopping {
                stream.drain();
            }
            stream.fill().await;
            while let Some(batches) = stream.next_batch() {
                Conductor::all_read(&self.members.order_batches(&batches))?;
            }
            if stream.is_done() {
                return Ok(true);
            }
            if stream.is_idle() {
                self.moved = Instant::now();
            }
            live.show(|| stream.live_line());
            self.look_for_newer().await?;
            let newer = self.newer.as_ref().map(Newer::wakes).filter(|_| !stream.is_idle());
            let wakes = [stream.wakes(), newer].into_iter().flatten().min();
            let listens = stream.listens();
            let wake = async {
                match wakes {
                    Some(wakes) => tokio::time::sleep_until(wakes).await,
                    None => std::future::pending().await,
                }
            };
            let event = tokio::select! {
                biased;
                event = self.next_event() => event?,
                () = stream.listen(), if listens => return Ok(false),
                () = wake => return Ok(false),
            };
            match event {
                Event::Report(_, Member { role: Role::Receiver, index }, Report::Answers(answers)) => {
                    stream.answered(index, answers).await?;
                    self.failing_since = None;
                }
                Event::Report(_, member, Report::Loaded(loaded)) => {
                    let newer = self.newer.as_mut();
                    if let Some(version) = newer.and_then(|newer| newer.loaded(member, loaded.version)) {
                        self.turn_to(version);
                        stream.turn_to(version);
                    }
                }
                // It is asked for again with all others.
                Event::Report(_, member, Report::Ready(_)) if self.gone.contains(&member) => {
                    return Err(Interruption::Lost(format!("{member} is back")));
                }
                Event::Told(_) | Event::Tick => {}
                event => return Err(self.out_of_turn(&event)),
            }
            if let Some(member) = self.leaving.filter(|_| !self.stopping) {
                return Err(Interruption::left(member, "it was told to end"));
            }
            Ok(false)
        }
        .await;
        self.stream = Some(stream);
        done
    }

    /// Orders nodes to load a newer checkpoint, once it has been found and copied.
    async fn look_for_newer(&mut self) -> Result<(), Interruption> {
        let Some(newer) = &mut self.newer else { return Ok(()) };
        let (version, to) = (self.setup.version(), &self.setup.checkpoints);
        let Some(found) = newer.look(version, to, &self.scenario).await else { return Ok(()) };
        newer.begin(found, self.members.all().filter(|member| !self.gone.contains(member)).collect());
        self.current.lock().expect("no code panics while it holds this lock").reload = Some(found);
        self.order(Order::Reload(Reload { version: found }))
    }

    /// Records that all nodes have loaded this version: a node that rejoins loads it too.
    fn turn_to(&mut self, version: u64) {
        (self.setup.restore, self.setup.saved) = (Some(version), Some(version));
        *self.current.lock().expect("no code panics while it holds this lock") = self.setup.current();
        self.shared_status.checkpoint(version);
        eprintln!("turning to the networks of round {version}");
    }

    /// The summary of the stream, if one was served.
    pub(super) async fn end_stream(&mut self) -> Option<Outcome> {
        let mut stream = self.stream.take()?;
        Some(Outcome::Served(stream.end().await))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn widths_are_those_of_all_modalities() {
        let sizes = Sizes { test_samples: 9, widths: vec![vec![4, 5], vec![6]] };
        assert_eq!(sizes.entries([2, 1].into_iter()).unwrap(), [4, 5, 6]);
        assert!(sizes.entries([2, 2].into_iter()).is_err());
        let zero = Sizes { test_samples: 9, widths: vec![vec![0]] };
        assert!(zero.entries([1].into_iter()).unwrap_err().to_string().contains("transmitter 0"));
    }
}
