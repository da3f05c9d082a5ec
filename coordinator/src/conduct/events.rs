//! What the conductor hears of the nodes and of its user, and what it orders the nodes to do.

use proto::v1::{Action, order::Order, report::Report};
use tokio::time::Instant;

use super::{Conductor, watch::LOOK};
use crate::{
    CoordinatorError,
    interruption::Interruption,
    lock,
    members::{Member, Origin},
    service::Event,
    stall,
};

impl Conductor {
    /// Sends an order to all nodes.
    pub(super) fn order(&self, order: Order) -> Result<(), Interruption> {
        Conductor::all_read(&self.members.order(order))
    }

    /// A node that does not read its orders is lost.
    pub(super) fn all_read(deaf: &[Member]) -> Result<(), Interruption> {
        match deaf.first() {
            None => Ok(()),
            Some(deaf) => Err(Interruption::left(*deaf, "it does not read its orders")),
        }
    }

    /// A member that speaks out of turn is broken: it is refused and counts as lost. If another node in its place does
    /// the same from the same checkpoint on, that ends the run; so does what comes in its turn but does not fit: a retry
    /// would give the same.
    pub(super) fn out_of_turn(&mut self, event: &Event) -> Interruption {
        let (member, what) = match event {
            Event::Report(_, member, report) => (*member, name_of(report)),
            Event::Saved { member, version, .. } => (*member, format!("a state of version {version}")),
            Event::Gone(_, member, reason) => return Interruption::left(*member, reason),
            Event::Told(_) | Event::Fault(_) | Event::Damaged(..) | Event::Tick => {
                return CoordinatorError::Run("nothing is out of turn".into()).into();
            }
        };
        let reason = self.refuse(member, &what);
        let version = self.setup.version();
        if self.refused.replace((member, version)) == Some((member, version)) {
            let line = format!("{member}: {reason}, and has before since the checkpoint of round {version}");
            return CoordinatorError::Run(line).into();
        }
        Interruption::left(member, &reason)
    }

    /// Closes a member's stream because of what it sent; returns the reason, which it is told.
    pub(super) fn refuse(&self, member: Member, what: &str) -> String {
        let reason = format!("it sent {what} out of turn");
        link::log_refusal("a node", member, &reason);
        self.members.refuse(member, &reason);
        reason
    }

    /// The next event of a run under way; a node that fails, leaves or stalls counts as lost.
    pub(super) async fn next_event(&mut self) -> Result<Event, Interruption> {
        match self.next().await? {
            Event::Report(_, member, Report::Failed(failed)) if failed.lost => {
                Err(Interruption::Lost(format!("{member}: {}", failed.message)))
            }
            Event::Report(_, member, Report::Failed(failed)) => {
                Err(CoordinatorError::Run(format!("{member}: {}", failed.message)).into())
            }
            Event::Gone(_, member, reason) => Err(Interruption::left(member, &reason)),
            Event::Report(_, member, Report::Leaving(_)) => {
                self.leaving = Some(member);
                Ok(Event::Tick)
            }
            Event::Tick if !self.paused && self.moved.elapsed() > self.deadlines.stall => {
                let line = stall::blame(&self.members.status(), self.moved.elapsed());
                self.moved = Instant::now();
                Err(Interruption::Lost(line))
            }
            event => Ok(event),
        }
    }

    /// The next event of this incarnation, or a tick if nothing happens.
    pub(super) async fn next(&mut self) -> Result<Event, Interruption> {
        loop {
            self.forgive_own_standstill();
            if let Some((member, silence)) = self.members.silent(self.deadlines.silence) {
                self.members.release(member);
                let reason = format!("it has said nothing for {} s", silence.as_secs());
                let origin = Origin { incarnation: self.setup.incarnation, admission: None };
                return Ok(Event::Gone(origin, member, reason));
            }
            self.watch.begin();
            // Ready events are taken in this fixed order, not at random.
            let event = tokio::select! {
                biased;
                () = self.terminate.announced(), if !self.stopping => Event::Told(Action::Stop),
                event = self.inbox.recv() => match event {
                    Some(event) => event,
                    None => return Err(CoordinatorError::Run("the server has ended".into()).into()),
                },
                () = tokio::time::sleep(LOOK) => Event::Tick,
            };
            self.forgive_own_standstill();
            if let Event::Tick = event {
                return Ok(event);
            }
            match &event {
                Event::Told(action) => self.heed(*action),
                Event::Fault(line) => {
                    return Err(CoordinatorError::Run(format!("{line}; {}", self.advice())).into());
                }
                // Messages of an earlier incarnation are dropped.
                event if event.incarnation() != Some(self.setup.incarnation) => continue,
                // So are those of a node that has lost its place: another one may hold it.
                Event::Report(origin, member, _) | Event::Gone(origin, member, _)
                    if !self.members.is_of_holder(*origin, *member) =>
                {
                    continue;
                }
                // The service has excluded these nodes: ignore their losses and failures until they report ready again.
                Event::Gone(_, member, _)
                | Event::Report(_, member, Report::Failed(_) | Report::Leaving(_))
                    if self.gone.contains(member) =>
                {
                    self.members.release(*member);
                    continue;
                }
                // An earlier checkpoint exists.
                Event::Damaged(_, line) => return Err(Interruption::Lost(line.clone())),
                Event::Gone(_, member, _) => self.members.release(*member),
                _ => self.moved = Instant::now(),
            }
            return Ok(event);
        }
    }

    /// Takes the time in which this process was stopped off the silence of all nodes: they may have been stopped too.
    fn forgive_own_standstill(&mut self) {
        if let Some(gap) = self.watch.end() {
            self.members.forgive(gap);
            self.moved = (self.moved + gap).min(Instant::now());
        }
    }

    fn heed(&mut self, action: Action) {
        match action {
            Action::Pause => {
                self.note("paused", "paused");
                self.paused = true;
            }
            Action::Resume => {
                self.note("resumed", "resumed");
                (self.paused, self.moved) = (false, Instant::now());
            }
            Action::Stop => {
                self.note("stop", "told to stop");
                self.stopping = true;
                lock::announce_end(self.setup.folder.path());
            }
            Action::Status => {}
        }
        self.shared_status.paused(self.paused);
        tracing::info!(?action, "told");
    }
}

/// What a report is, without its content.
pub(super) fn name_of(report: &Report) -> String {
    let whole = format!("{report:?}");
    whole.split('(').next().unwrap_or_default().to_owned()
}
