//! The processes of a run: their options, and their lives.

use std::{
    net::{Ipv4Addr, SocketAddr},
    path::Path,
    time::Duration,
};

use coordinator::{AnswerSink, Deadlines, Mode, Options, ServeOptions};
use node::{Compute, SecurityOptions, Shutdown};

use crate::{
    disk::Disk,
    ledger::{Host, Ledger},
    network::Connections,
    plan::Plan,
    receiver_machine::ReceiverMachine,
    serving::{ROWS, ServicePlan},
    transmitter_machine::TransmitterMachine,
};

/// The port of every process, each on its own host.
pub(crate) const PORT: u16 = 7310;

/// The life of a node's process.
pub(crate) async fn live(host: Host, options: node::Options, ledger: Ledger) -> turmoil::Result {
    let how = match host {
        Host::Transmitter(_) => {
            let ledger = ledger.clone();
            let employ = move |context, _: &node::Options, state: Option<Vec<u8>>, activity| {
                Compute::inline(activity, |emit| {
                    emit(transmitter::Output::Ready {
                        data: [0; 32],
                        files: Vec::new(),
                        same_build: false,
                        libraries: Vec::new(),
                        widths: vec![1],
                    });
                    TransmitterMachine::new(context, state.as_deref(), ledger.clone())
                })
            };
            transmitter::run_with(options, &employ).await
        }
        _ => {
            let ledger = ledger.clone();
            let employ = move |context, _: &node::Options, state: Option<Vec<u8>>, activity| {
                Compute::inline(activity, |emit| {
                    emit(receiver::Output::Ready {
                        data: [0; 32],
                        label_entropy: 1.0,
                        files: Vec::new(),
                        balance: None,
                        about: Default::default(),
                        same_build: false,
                        libraries: Vec::new(),
                        test_samples: ROWS,
                    });
                    ReceiverMachine::new(context, state.as_deref(), ledger.clone())
                })
            };
            receiver::run_with(options, &employ).await
        }
    };
    ledger.ended(host, how.map_err(|error| error.to_string()));
    // The driver ends the process.
    std::future::pending().await
}

fn everywhere() -> SocketAddr {
    (Ipv4Addr::UNSPECIFIED, PORT).into()
}

/// The options of a coordinator on a host.
pub(crate) fn coordinator_options(
    plan: &Plan,
    host: &str,
    folder: &Path,
    disk: &Disk,
    connections: &Connections,
) -> coordinator::Options {
    let patience = Duration::from_secs(600);
    coordinator::Options {
        scenario: plan.shape.scenario(),
        mode: Mode::ResumeOrStart,
        best: false,
        command: "a simulation".into(),
        folder: folder.into(),
        store: Some(disk.store()),
        listen: everywhere(),
        security: link::Security::default().over(connections.seen_by(host)),
        insecure: true,
        json: true,
        verify: plan.verify,
        stop_after: None,
        print_only: false,
        tensorboard: None,
        tui: false,
        otlp: None,
        page: coordinator::PageAddress::Off,
        health: node::Health::default(),
        deadlines: Deadlines {
            join: patience,
            rejoin: patience,
            silence: Duration::from_secs(plan.silence),
            stall: Duration::from_secs(plan.stall),
        },
        terminate: Shutdown::default(),
        serve: None,
    }
}

/// Those of its service, once it has been trained.
pub(crate) fn service_options(trained: Options, service: &ServicePlan, ledger: Ledger) -> Options {
    let answers = AnswerSink::new(move |line| ledger.record().stream.line(line));
    let serve = ServeOptions {
        run: trained.folder.clone(),
        best: false,
        stream: service.stream.clone(),
        answers: Some(answers),
    };
    Options { mode: Mode::Evaluate, serve: Some(serve), verify: false, ..trained }
}

pub(crate) fn node_options(plan: &Plan, host: Host, connections: &Connections) -> node::Options {
    let (Host::Transmitter(index) | Host::Receiver(index)) = host else {
        unreachable!("the coordinator is no node");
    };
    node::Options {
        coordinator: format!("{}:{PORT}", Host::Coordinator),
        index: plan.named.then_some(index as u32),
        listen: everywhere(),
        advertise: Some(format!("{host}:{PORT}")),
        tcp_only: false,
        data: None,
        device: Some(scenario::Device::Cpu),
        threads: 1,
        security: SecurityOptions::default(),
        insecure: true,
        patience: plan.patience,
        end_with_parent: false,
        shares_data: false,
        network: connections.seen_by(&host.to_string()),
        shutdown: Shutdown::default(),
        health: None,
        otlp: None,
        traces: node::Traces::default(),
        state_of_health: node::Health::default(),
    }
}
