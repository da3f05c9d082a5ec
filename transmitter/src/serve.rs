//! The async half of a transmitter: its server, its links and the control stream around the machine.

use std::{net::SocketAddr, sync::Arc};

use data::{Divided, Needs};
use link::{ByteCount, Listener, Name, Security};
use node::{
    Activity, Compute, Context, Control, Employ, Joined, NodeError, NodeSpans, Options, Probe, Reloading,
    Role,
};
use proto::v1::{Ready, order::Order, report::Report, transmitter_server::TransmitterServer};
use tokio::{sync::mpsc, task::JoinSet};

use crate::{
    Input, Output, TransmitterMachine,
    exchange::{Exchange, Outgoing},
};

/// Takes part in a run as a transmitter, from joining to the end.
///
/// # Errors
///
/// If listening or joining fails, a peer is lost or breaks the protocol, or the computation fails.
pub async fn run(options: Options) -> Result<(), NodeError> {
    run_with(options, &spawn).await
}

/// The same with a compute half that is set to work in another way, in every incarnation anew.
///
/// # Errors
///
/// As of [`run`].
pub async fn run_with(options: Options, employ: &Employ<Input, Output>) -> Result<(), NodeError> {
    let security = options.security.of_node(Role::Transmitter, options.index)?.over(options.network.clone());
    let security = security.finding_token_of(&options.coordinator);
    // An unusable address is reported before this node joins.
    let listener = listen(&options, &security).await?;
    match advertised(&options, listener.address()).await {
        // The coordinator's name may lead nowhere before the coordinator is there.
        Ok(_) | Err(NodeError::CoordinatorLost(_)) => {}
        Err(error) => return Err(error),
    }
    let mut first = Some(listener);
    node::live(Role::Transmitter, options, &security, |joined, options| {
        let (listening, security) = (first.take(), security.clone());
        async move { take_part(joined, options, security, listening, employ).await }
    })
    .await
}

async fn listen(options: &Options, security: &Security) -> Result<Listener, NodeError> {
    Ok(Listener::bind(options.listen, security, options.insecure).await?)
}

/// Takes part in one incarnation of the run. Each listens anew: no caller of an earlier one gets through.
async fn take_part(
    joined: Joined,
    options: Options,
    security: Security,
    listening: Option<Listener>,
    employ: &Employ<Input, Output>,
) -> Result<(), NodeError> {
    let Joined { mut control, context, state } = joined;
    let listener = match listening {
        Some(listening) => listening,
        None => listen(&options, &security).await?,
    };
    let mut server = JoinSet::new();
    let _token = security.publish(listener.address().port());
    let outcome = live(&mut control, context, (state, employ), &options, listener, &mut server).await;
    // The port must be free again before this node listens anew.
    server.shutdown().await;
    match outcome {
        Ok(()) => Ok(()),
        Err(error) => Err(control.fail(error).await),
    }
}

/// Where receivers are to find this transmitter.
async fn advertised(options: &Options, listening: SocketAddr) -> Result<String, NodeError> {
    match &options.advertise {
        Some(address) => {
            link::check_address(address)?;
            Ok(address.clone())
        }
        None if listening.ip().is_unspecified() => {
            Ok(node::own_address(&options.coordinator, listening).await?.to_string())
        }
        None => Ok(listening.to_string()),
    }
}

async fn live(
    control: &mut Control,
    context: Context,
    (state, employ): (Option<Vec<u8>>, &Employ<Input, Output>),
    options: &Options,
    mut listener: Listener,
    server: &mut JoinSet<()>,
) -> Result<(), NodeError> {
    let address = advertised(options, listener.address()).await?;
    let wanted = &context.scenario.transmitter[context.index].modalities;
    let data = node::data_nearby(&context.scenario, options.data.clone(), wanted).await?;
    let options = &Options { data, ..options.clone() };
    let mut compute = employ(context.clone(), options, state, control.activity());
    let mut door = if options.tcp_only { None } else { listener.open_local() };
    let socket = door.as_ref().map_or_else(String::new, |door| door.path().into());
    report_ready(control, &mut compute, (address, socket), &context).await?;
    let (arrived, mut turns) = mpsc::channel(2 * context.scenario.receivers());
    let outgoing = Arc::new(Outgoing::new(context.scenario.receivers()));
    let count = listener.count();
    let exchange = Exchange::new(&context, outgoing.clone(), arrived);
    server.spawn(serve(listener, exchange, Name::Transmitter(context.index as u32)));
    let start = control.start().await?;
    deliver(&compute, Input::LabelEntropies(start.label_entropies)).await;
    let mut reloading = Reloading::default();
    let mut spans = NodeSpans::new(&options.traces, &context, Role::Transmitter);
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
            Some((t, turn)) = turns.recv() => match turn {
                Ok(turn) => {
                    spans.begin(t, &turn);
                    deliver(&compute, Input::Turn(t, turn)).await;
                }
                Err(loss) => return Err(control.explain(loss).await),
            },
            output = compute.next() => match output? {
                Output::Features(t, features) => {
                    // Who answers has heard from all receivers: nobody is to come any more, and if this process is
                    // killed from here on, it leaves nothing behind.
                    drop(door.take());
                    spans.end(t, &features);
                    outgoing.send(t, features)?;
                }
                Output::State(version, state) => control.save(version, state).await?,
                Output::Report(report) => {
                    let finished = matches!(report, Report::Finished(_));
                    spans.report(&report);
                    control.report(counted(report, &count)).await?;
                    // When all have said so, the coordinator hangs up: that is no loss.
                    if finished {
                        break;
                    }
                }
                Output::Ready { .. } => {}
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
        let needs = Needs { modalities: &context.scenario.transmitter[context.index].modalities, tasks: &[] };
        let Divided { train, validation } = node::open_data(&context, &own, &needs, state.as_deref())?;
        let data = node::digest_with_traces(train.digest(), &context.scenario);
        let files = train.files();
        let mut machine = TransmitterMachine::new(context, train, state.as_deref())?;
        machine.validate_on(validation);
        let libraries = node::libraries(machine.networks(), std::iter::empty(), machine.policy.as_ref());
        let same_build =
            !libraries.is_empty() || machine.networks().any(|network| !network.module().is_reproducible());
        let widths = machine.widths().to_vec();
        emit(Output::Ready { data, files, same_build, libraries, widths });
        Ok(machine)
    })
}

async fn report_ready(
    control: &mut Control,
    compute: &mut Compute<Input, Output>,
    (address, socket): (String, String),
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
    let Output::Ready { data, files, same_build, libraries, widths } = output else {
        return Err(NodeError::protocol("the compute thread", "spoke before it was ready"));
    };
    let device = node::device_name(&context.device);
    let data = data.to_vec().into();
    let files = node::files(files);
    let widths = widths.into_iter().map(|width| width as u64).collect();
    let ready =
        Ready { address, data, device, socket, files, same_build, libraries, widths, ..Ready::default() };
    control.report(Report::Ready(ready)).await
}

async fn serve(listener: Listener, exchange: Exchange, name: Name) {
    let limit = exchange.largest_message();
    let service =
        TransmitterServer::new(exchange).max_decoding_message_size(limit).max_encoding_message_size(limit);
    let router = listener.server().add_service(service).add_service(Probe::of(name));
    if let Err(error) = listener.serve(router, std::future::pending()).await {
        tracing::error!(%error, "the server ended");
    }
}

/// Gives the machine an input. If its thread has ended, the reason is among its outputs.
async fn deliver(compute: &Compute<Input, Output>, input: Input) {
    let _ = compute.inputs.send(input).await;
}

/// Fills in what went through the sockets: the machine knows none.
fn counted(report: Report, count: &ByteCount) -> Report {
    match report {
        Report::TransmitterRound(mut round) => {
            round.wire_bytes = count.total();
            Report::TransmitterRound(round)
        }
        Report::TransmitterPass(mut pass) => {
            pass.wire_bytes = count.total();
            Report::TransmitterPass(pass)
        }
        other => other,
    }
}
