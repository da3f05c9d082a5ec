//! The async half of a receiver: its links and the control stream around the machine.

use std::time::Duration;

use bytes::Bytes;
use data::{Divided, Needs};
use link::{Channel, LinkError, Name, Security};
use node::{
    Activity, Compute, Context, Control, Employ, Joined, NodeError, NodeSpans, Options, Reloading, Role,
    Vitals,
};
use proto::{
    Incoming, When, check_length,
    v1::{
        Classes, Features, Ready, Start, Turn, order::Order, report::Report,
        transmitter_client::TransmitterClient,
    },
};
use tokio::{sync::mpsc, task::JoinSet, time::Instant};
use tokio_stream::wrappers::ReceiverStream;

use crate::{Input, Output, ReceiverMachine, TaskData, emulation};

/// Takes part in a run as a receiver, from joining to the end.
///
/// # Errors
///
/// If joining fails, a peer is lost or breaks the protocol, or the computation fails.
pub async fn run(options: Options) -> Result<(), NodeError> {
    run_with(options, &spawn).await
}

/// The same with a compute half that is set to work in another way, in every incarnation anew.
///
/// # Errors
///
/// As of [`run`].
pub async fn run_with(options: Options, employ: &Employ<Input, Output>) -> Result<(), NodeError> {
    let security = options.security.of_node(Role::Receiver, options.index)?.over(options.network.clone());
    let security = security.finding_token_of(&options.coordinator);
    node::live(Role::Receiver, options, &security, |joined, options| {
        let security = security.clone();
        async move { take_part(joined, options, security, employ).await }
    })
    .await
}

/// Takes part in one incarnation of the run.
async fn take_part(
    joined: Joined,
    options: Options,
    security: Security,
    employ: &Employ<Input, Output>,
) -> Result<(), NodeError> {
    let Joined { mut control, context, state } = joined;
    let outcome = live(&mut control, context, (state, employ), &options, &security).await;
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(control.fail(error).await),
    }
}

async fn live(
    control: &mut Control,
    context: Context,
    (state, employ): (Option<Vec<u8>>, &Employ<Input, Output>),
    options: &Options,
    security: &Security,
) -> Result<(), NodeError> {
    let wanted = std::slice::from_ref(&context.scenario.receiver[context.index].task);
    let data = node::data_nearby(&context.scenario, options.data.clone(), wanted).await?;
    let options = &Options { data, ..options.clone() };
    let mut compute = employ(context.clone(), options, state, control.activity());
    report_ready(control, &mut compute, &context).await?;
    let start = control.start().await?;
    // Of those that are gone nothing is to be expected.
    let gone: Vec<usize> =
        (0..start.transmitters.len()).filter(|&k| start.transmitters[k].is_empty()).collect();
    if !gone.is_empty() {
        deliver(&compute, Input::Gone(gone)).await;
    }
    let mut reloading = Reloading::default();
    let mut links = {
        let dialling = Links::dial(&context, &start, options, security, control.vitals());
        let mut dialling = std::pin::pin!(dialling);
        loop {
            tokio::select! {
                biased;
                links = &mut dialling => break links?,
                // The first orders may come before the last transmitter answers, and so may the end of the run.
                order = control.order() => match order? {
                    Order::Reload(reload) => reloading.begin(control, reload.version),
                    order => deliver(&compute, Input::Order(order)).await,
                },
            }
        }
    };
    let mut last_round = Instant::now();
    let mut spans = NodeSpans::new(&options.traces, &context, Role::Receiver);
    let mut patience = Patience::new(context.scenario.straggler.patience);
    loop {
        // Of what is ready, the first here comes first: no draw decides, so what happens can happen again.
        tokio::select! {
            biased;
            order = control.order() => match order? {
                Order::Reload(reload) => reloading.begin(control, reload.version),
                order => deliver(&compute, Input::Order(order)).await,
            },
            loaded = reloading.end() => {
                let (version, state) = loaded?;
                deliver(&compute, Input::Reloaded(version, state)).await;
            }
            (k, features) = links.next() => match features {
                Ok(features) => {
                    spans.end(k, &features);
                    deliver(&compute, Input::Features(k, features)).await;
                }
                Err(loss) => return Err(control.explain(loss).await),
            },
            when = patience.end() => deliver(&compute, Input::Overdue(when)).await,
            output = compute.next() => match output? {
                Output::Turn(k, turn) => {
                    spans.begin(k, &turn);
                    links.send(k, turn)?;
                }
                Output::Incomplete(when) => patience.begin(when),
                Output::State(version, state) => control.save(version, state).await?,
                Output::Report(report) => {
                    let finished = matches!(report, Report::Finished(_));
                    spans.report(&report);
                    control.report(timed(report, &mut last_round)).await?;
                    // When all have said so, the coordinator hangs up: that is no loss.
                    if finished {
                        break;
                    }
                }
                Output::Ready { .. } | Output::Answers(_) => {}
            },
        }
    }
    control.finish().await;
    Ok(())
}

/// Reads the data and builds the machine on the compute thread.
fn spawn(
    context: Context,
    options: &Options,
    state: Option<Vec<u8>>,
    activity: Activity,
) -> Compute<Input, Output> {
    let own = options.clone();
    Compute::spawn(options.threads, activity, move |emit| {
        let task = context.scenario.receiver[context.index].task.clone();
        let needs = Needs { modalities: &[], tasks: std::slice::from_ref(&task) };
        let Divided { train, validation } = node::open_data(&context, &own, &needs, state.as_deref())?;
        let validation = validation.map(|rows| TaskData::new(rows.as_ref(), &task)).transpose()?;
        let task = TaskData::new(train.as_ref(), &task)?;
        let data = node::digest_with_traces(task.digest(), &context.scenario);
        let label_entropy = task.label_entropy();
        let test_samples = task.test_samples();
        let (balance, about, files) = (task.balance().cloned(), task.about().clone(), train.files());
        let mut machine = ReceiverMachine::new(context, task, state.as_deref())?;
        machine.validate_on(validation);
        let libraries = node::libraries(machine.networks(), machine.channels(), machine.policy.as_ref());
        let same_build =
            !libraries.is_empty() || machine.networks().any(|network| !network.module().is_reproducible());
        emit(Output::Ready {
            data,
            label_entropy,
            files,
            balance,
            about,
            same_build,
            libraries,
            test_samples,
        });
        Ok(machine)
    })
}

async fn report_ready(
    control: &mut Control,
    compute: &mut Compute<Input, Output>,
    context: &Context,
) -> Result<(), NodeError> {
    let output = tokio::select! {
        biased;
        output = compute.next() => output?,
        // Nothing is due from the coordinator now but its abort.
        order = control.order() => {
            return Err(NodeError::unexpected(&order?, "before this node was ready"));
        }
    };
    let Output::Ready { data, label_entropy, files, balance, about, same_build, libraries, test_samples } =
        output
    else {
        return Err(NodeError::protocol("the compute thread", "spoke before it was ready"));
    };
    let device = node::device_name(&context.device);
    let (data, files) = (data.to_vec().into(), node::files(files));
    let data::About { names, notes } = about;
    let classes = balance.map(|balance| Classes { train: balance.train, test: balance.test, names });
    let test_samples = test_samples as u64;
    let ready = Ready {
        data,
        label_entropy,
        device,
        files,
        classes,
        notes,
        same_build,
        libraries,
        test_samples,
        ..Ready::default()
    };
    control.report(Report::Ready(ready)).await
}

/// Gives the machine an input. If its thread has ended, the reason is among its outputs.
async fn deliver(compute: &Compute<Input, Output>, input: Input) {
    let _ = compute.inputs.send(input).await;
}

/// Fills in how long a round took: the machine knows no clock.
fn timed(report: Report, last_round: &mut Instant) -> Report {
    match report {
        Report::ReceiverRound(mut round) => {
            round.seconds = last_round.elapsed().as_secs_f64();
            *last_round = Instant::now();
            Report::ReceiverRound(round)
        }
        other => other,
    }
}

/// How long those are waited for that have not answered what is due, where others have.
struct Patience {
    length: Duration,
    running: Option<(When, Instant)>,
}

impl Patience {
    fn new(seconds: f64) -> Self {
        Patience { length: Duration::from_secs_f64(seconds), running: None }
    }

    fn begin(&mut self, when: When) {
        self.running = Some((when, Instant::now() + self.length));
    }

    /// Waits until patience is over, for ever if it has not begun.
    async fn end(&mut self) -> When {
        match self.running {
            None => std::future::pending().await,
            Some((when, end)) => {
                tokio::time::sleep_until(end).await;
                self.running = None;
                when
            }
        }
    }
}

/// The streams to all transmitters.
struct Links {
    /// None to one that is gone.
    turns: Vec<Option<mpsc::Sender<Turn>>>,
    features: mpsc::Receiver<(usize, Result<Features, NodeError>)>,
    /// What reads from them, and what probes them; it ends with the links.
    _readers: JoinSet<()>,
}

impl Links {
    async fn dial(
        context: &Context,
        start: &Start,
        options: &Options,
        security: &Security,
        vitals: Vitals,
    ) -> Result<Self, NodeError> {
        let transmitters = context.scenario.transmitters();
        let counts = [
            ("addresses", start.transmitters.len()),
            ("sockets", start.sockets.len()),
            ("secrets", start.secrets.len()),
        ];
        for (what, count) in counts {
            check_length("the start", what, count, transmitters)
                .map_err(NodeError::message("the coordinator"))?;
        }
        let (arrived, features) = mpsc::channel(2 * transmitters);
        let mut turns = Vec::with_capacity(transmitters);
        let mut readers = JoinSet::new();
        let places = start.transmitters.iter().zip(&start.sockets).zip(&start.secrets);
        for (k, ((address, socket), secret)) in places.enumerate() {
            if address.is_empty() {
                turns.push(None);
                continue;
            }
            let socket = if options.tcp_only { "" } else { socket };
            let unreachable =
                |error: LinkError| NodeError::Unreachable { peer: format!("transmitter {k}"), error };
            let name = Name::Transmitter(k as u32);
            let dialled = link::dial_nearest(name, socket, address, security, options.patience()).await;
            let channel = dialled.map_err(unreachable)?;
            readers.spawn(vitals.clone().probe_transmitter(k, transmitters, channel.clone()));
            let limit = context.largest_message(k);
            let client = TransmitterClient::new(channel)
                .max_decoding_message_size(limit)
                .max_encoding_message_size(limit);
            // One more, which says who calls: the first order may be long in coming.
            let (sender, outgoing) = mpsc::channel(1 + context.messages_under_way());
            let _ = sender.try_send(greeting(context, k, secret));
            turns.push(Some(sender));
            readers.spawn(read(k, client, outgoing, arrived.clone(), context.clone()));
        }
        Ok(Links { turns, features, _readers: readers })
    }

    /// Sends a turn without waiting for anybody. A link that has ended says so among the features.
    fn send(&mut self, k: usize, mut turn: Turn) -> Result<(), NodeError> {
        // The greeting has said whose the stream is.
        proto::shorten(&mut turn.stamp);
        let Some(turns) = &self.turns[k] else { return Ok(()) };
        match turns.try_send(turn) {
            Err(mpsc::error::TrySendError::Full(_)) => {
                Err(NodeError::protocol(format!("transmitter {k}"), "does not read its turns"))
            }
            _ => Ok(()),
        }
    }

    async fn next(&mut self) -> (usize, Result<Features, NodeError>) {
        match self.features.recv().await {
            Some(features) => features,
            // Every link has said how it ended and been heard.
            None => std::future::pending().await,
        }
    }
}

/// What a stream to transmitter k begins with: whose it is, and the secret of the pair.
fn greeting(context: &Context, k: usize, secret: &Bytes) -> Turn {
    let stamp = Some(context.link(k, context.index).stamp(When::round(0)));
    Turn { stamp, secret: secret.clone(), ..Turn::default() }
}

/// Opens the stream to transmitter k and passes its features on until it ends; the last word is why.
async fn read(
    k: usize,
    mut client: TransmitterClient<Channel>,
    outgoing: mpsc::Receiver<Turn>,
    arrived: mpsc::Sender<(usize, Result<Features, NodeError>)>,
    context: Context,
) {
    let name = format!("transmitter {k}");
    match client.exchange(ReceiverStream::new(outgoing)).await {
        Err(status) => {
            let loss = NodeError::Lost { peer: name, reason: link::printable(status.message()) };
            let _ = arrived.send((k, Err(loss))).await;
        }
        Ok(response) => {
            let mut incoming = Incoming::new(context.link(k, context.index));
            let arrives = |features: &mut Features| {
                incoming.complete(&mut features.stamp);
                emulation::seconds(&context, k, features)
            };
            node::pass_on((k, name), None, response.into_inner(), arrives, &arrived).await;
        }
    }
}
