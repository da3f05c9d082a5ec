//! Waiting for the nodes of a run.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use node::Role;
use proto::v1::{Classes, Ready, Start, report::Report};
use tokio::time::Instant;

use super::{Conductor, events::name_of};
use crate::{
    CoordinatorError, check, interruption::Interruption, members::Member, same_data::compare_data,
    service::Event, summary::ClassCounts,
};

/// Time after which the names of missing nodes are printed.
const PATIENT: Duration = Duration::from_secs(5);

impl Conductor {
    /// Waits until every node has joined and is ready, then starts them all. Returns the devices on which they compute.
    pub(super) async fn gather(&mut self) -> Result<String, Interruption> {
        self.shared_status.phase("waiting for nodes");
        let again = self.failing_since.is_some();
        let patience = if again { self.deadlines.rejoin } else { self.deadlines.join };
        let mut ready: BTreeMap<Member, Ready> = BTreeMap::new();
        let came = Instant::now();
        let (mut reminded, mut complaint) = (false, None);
        self.gone.clear();
        while ready.len() < self.members.total() {
            if again && self.can_do_without(&ready, came.elapsed()) {
                break;
            }
            match self.next().await? {
                Event::Report(_, member, Report::Ready(report)) => {
                    check::ready(&report).map_err(CoordinatorError::blame(member.to_string()))?;
                    ready.insert(member, report);
                }
                // Before the first start the user must fix what a node lacks; after a rollback the node may recover.
                Event::Report(_, member, Report::Failed(failed)) if !again && !failed.lost => {
                    return Err(blame(member, &failed.message, failed.input).into());
                }
                Event::Report(_, member, Report::Failed(failed)) => {
                    eprintln!("{member}: {}", failed.message);
                    complaint = Some(format!("{member}: {}", failed.message));
                    self.let_go(member, &mut ready);
                }
                // The node may come back under its index.
                Event::Gone(_, member, _) | Event::Report(_, member, Report::Leaving(_)) => {
                    self.let_go(member, &mut ready);
                }
                Event::Told(_) if self.stopping => return Err(Interruption::Stopped(self.setup.version())),
                Event::Told(_) | Event::Tick => {}
                // The run has not begun: only this node loses its place, which another one may take.
                Event::Report(_, member, report) => {
                    let reason = self.refuse(member, &name_of(&report));
                    complaint = Some(format!("{member} left the run: {reason}"));
                    ready.remove(&member);
                }
                event => return Err(self.out_of_turn(&event)),
            }
            if came.elapsed() > PATIENT && !reminded {
                eprintln!("waiting for {}", self.missing(&ready));
                reminded = true;
            }
            if came.elapsed() > patience {
                let line = format!("{} not ready within {} s", self.missing(&ready), patience.as_secs());
                let line = complaint.map_or(line.clone(), |complaint| format!("{line}; {complaint}"));
                return Err(CoordinatorError::Run(line).into());
            }
        }
        compare_data(&ready)?;
        self.sizes.take(&ready);
        self.take_note(&ready, again)?;
        tracing::info!(nodes = ready.len(), "all nodes are ready");
        let of = |role| self.members.all().filter(move |member| member.role == role);
        // Nothing is told of those that are gone.
        let told =
            |member, what: fn(&Ready) -> &String| ready.get(&member).map(what).cloned().unwrap_or_default();
        let start = Start {
            transmitters: of(Role::Transmitter).map(|member| told(member, |ready| &ready.address)).collect(),
            label_entropies: of(Role::Receiver).map(|member| ready[&member].label_entropy).collect(),
            sockets: of(Role::Transmitter).map(|member| told(member, |ready| &ready.socket)).collect(),
            secrets: Vec::new(),
        };
        Conductor::all_read(&self.members.start(&start))?;
        let device = |(member, ready): (&Member, &Ready)| (member.to_string(), ready.device.clone());
        self.shared_status.devices(ready.iter().map(device).collect());
        let devices: BTreeSet<String> = ready.into_values().map(|ready| ready.device).collect();
        Ok(devices.into_iter().collect::<Vec<_>>().join(", "))
    }

    /// Writes down what receivers' classes are and whether bits are bound to the build, and says at the first start
    /// what the nodes say of their data.
    fn take_note(&mut self, ready: &BTreeMap<Member, Ready>, again: bool) -> Result<(), CoordinatorError> {
        if !again {
            let notes: BTreeSet<&String> = ready.values().flat_map(|ready| &ready.notes).collect();
            notes.into_iter().for_each(|note| eprintln!("note: {note}"));
        }
        let counts = |(member, ready): (&Member, &Ready)| {
            let classes = ready.classes.clone().filter(|_| member.role == Role::Receiver)?;
            let receiver = member.index;
            let Classes { train, test, names } = classes;
            let data::Balance { train, test, empty, majority, .. } = data::Balance::of_counts(train, test);
            let task = self.scenario.receiver[receiver].task.clone();
            Some(ClassCounts { receiver, task, names, train, test, empty, majority })
        };
        self.classes = ready.iter().filter_map(counts).collect();
        self.same_build = ready.values().any(|ready| ready.same_build);
        self.libraries = ready.values().flat_map(|ready| ready.libraries.iter().cloned()).collect();
        if self.classes.is_empty() {
            return Ok(());
        }
        let text = serde_json::to_vec_pretty(&self.classes).expect("classes have only strings and numbers");
        self.setup.folder.write_whole("classes.json", &text)
    }

    /// Whether a service goes on without the transmitters that have not come back.
    fn can_do_without(&mut self, ready: &BTreeMap<Member, Ready>, waited: Duration) -> bool {
        let missing: BTreeSet<Member> =
            self.members.all().filter(|member| !ready.contains_key(member)).collect();
        let transmitters = missing.iter().filter(|member| member.role == Role::Transmitter).count();
        let is_enough = transmitters == missing.len() && transmitters < self.scenario.transmitters();
        if !is_enough || self.patience.is_none_or(|patience| waited < patience) {
            return false;
        }
        eprintln!("going on without {}", self.missing(ready));
        self.members.set_apart(&missing);
        self.gone = missing;
        true
    }

    /// Frees the place of a node that left, for the next node that joins.
    fn let_go(&self, member: Member, ready: &mut BTreeMap<Member, Ready>) {
        ready.remove(&member);
        self.members.release(member);
    }

    fn missing(&self, ready: &BTreeMap<Member, Ready>) -> String {
        let names: Vec<String> = self
            .members
            .all()
            .filter(|member| !ready.contains_key(member))
            .map(|member| member.to_string())
            .collect();
        names.join(", ")
    }
}

fn blame(member: Member, message: &str, input: bool) -> CoordinatorError {
    let line = format!("{member}: {message}");
    if input { CoordinatorError::Input(line) } else { CoordinatorError::Run(line) }
}
