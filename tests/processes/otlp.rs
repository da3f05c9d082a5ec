//! `run --otlp`: a collector gets one trace a round and a pass of evaluation, with spans of every process.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Arc, Mutex},
};

use harness::{Place, free_port};
use opentelemetry_proto::tonic::{
    collector::trace::v1::{
        ExportTraceServiceRequest, ExportTraceServiceResponse,
        trace_service_server::{TraceService, TraceServiceServer},
    },
    common::v1::{KeyValue, any_value::Value},
};
use tokio::runtime::Runtime;
use tokio_stream::wrappers::TcpListenerStream;
use tonic::{
    Request, Response, Status,
    transport::{Identity, Server, ServerTlsConfig},
};

use crate::PROGRAM;

/// What a collector keeps of a span.
#[derive(Clone, Debug)]
struct Span {
    process: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    /// Of a round; else of a pass of evaluation.
    round: Option<i64>,
    nanoseconds: u64,
    attributes: Vec<String>,
}

/// Keeps all spans that it is sent.
#[derive(Clone, Default)]
struct Collector(Arc<Mutex<Vec<Span>>>);

#[tonic::async_trait]
impl TraceService for Collector {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        for of_process in request.into_inner().resource_spans {
            let resource = of_process.resource.unwrap_or_default();
            assert_eq!(text(&resource.attributes, "service.name"), "pom2dib");
            let process = text(&resource.attributes, "service.instance.id");
            for span in of_process.scope_spans.into_iter().flat_map(|scope| scope.spans) {
                let round = match value(&span.attributes, "pom2dib.round") {
                    Some(Value::IntValue(round)) => Some(round),
                    other => {
                        let pass = value(&span.attributes, "pom2dib.pass");
                        assert!(other.is_none() && matches!(pass, Some(Value::IntValue(_))), "{pass:?}");
                        None
                    }
                };
                self.0.lock().unwrap().push(Span {
                    process: process.clone(),
                    name: span.name,
                    trace: span.trace_id,
                    id: span.span_id,
                    parent: span.parent_span_id,
                    round,
                    nanoseconds: span.end_time_unix_nano - span.start_time_unix_nano,
                    attributes: span.attributes.into_iter().map(|attribute| attribute.key).collect(),
                });
            }
        }
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

fn value(attributes: &[KeyValue], key: &str) -> Option<Value> {
    attributes.iter().find(|attribute| attribute.key == key)?.value.clone()?.value
}

fn text(attributes: &[KeyValue], key: &str) -> String {
    match value(attributes, key) {
        Some(Value::StringValue(text)) => text,
        other => panic!("{key}: {other:?}"),
    }
}

impl Collector {
    /// Begins to collect, with a certificate and its key if they are given; returns the port.
    fn serve(&self, runtime: &Runtime, identity: Option<Identity>) -> u16 {
        let _inside = runtime.enter();
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let port = listener.local_addr().unwrap().port();
        let service = TraceServiceServer::new(self.clone());
        let mut server = Server::builder();
        if let Some(identity) = identity {
            server = server.tls_config(ServerTlsConfig::new().identity(identity)).unwrap();
        }
        let served = server.add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(async { served.await.unwrap() });
        port
    }
}

#[test]
fn every_round_and_every_pass_of_evaluation_is_one_trace_over_all_processes() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::default();
    let port = collector.serve(&runtime, None);
    let place = Place::new(PROGRAM);

    let validates = "--set data.hold_out=0.02 --set evaluation.every=3 --set evaluation.passes=2";
    place.run(&format!("run tiny.toml {validates} --otlp http://127.0.0.1:{port} --page off --out a")).done();

    let spans = collector.0.lock().unwrap().clone();
    let mut by_trace: BTreeMap<Vec<u8>, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| by_trace.entry(span.trace.clone()).or_default().push(span.clone()));
    let rounds: BTreeSet<i64> = spans.iter().filter_map(|span| span.round).collect();
    let validation_passes = place.run_folder("a").text("scenario.toml");
    let validation_passes: usize = validation_passes
        .lines()
        .find_map(|line| line.strip_prefix("validation_passes = "))
        .map_or(1, |passes| passes.parse().unwrap());
    // Of validation after rounds 3 and 6, and of the test set.
    let passes = 2 * validation_passes + 2;
    assert_eq!((rounds.len(), by_trace.len()), (6, 6 + passes), "a trace a round, and a pass");
    for trace in by_trace.values() {
        let processes: BTreeSet<&str> = trace.iter().map(|span| span.process.as_str()).collect();
        let all = ["coordinator", "receiver 0", "receiver 1", "transmitter 0", "transmitter 1"];
        assert_eq!(processes, BTreeSet::from(all));
        // The whole, four nodes, and an exchange and its answer for each of four links; in a pass, for each of its
        // pieces.
        let is_round = trace[0].round.is_some();
        assert!(trace.iter().all(|span| span.round == trace[0].round));
        match is_round {
            true => assert_eq!(trace.len(), 1 + 4 + 8, "{trace:#?}"),
            false => assert!(trace.len() >= 1 + 4 + 8 && (trace.len() - 5).is_multiple_of(8), "{trace:#?}"),
        }
        let whole = if is_round { "round" } else { "evaluation pass" };
        let by_id: BTreeMap<&[u8], &Span> = trace.iter().map(|span| (span.id.as_slice(), span)).collect();
        assert_eq!(by_id.len(), trace.len(), "no two spans have one id");
        for span in trace {
            let parent = by_id
                .get(span.parent.as_slice())
                .map(|parent| (parent.process.as_str(), parent.name.as_str()));
            let named = |prefix: &str| span.name.strip_prefix(prefix);
            match span.name.as_str() {
                name if name == whole => {
                    assert_eq!((span.process.as_str(), span.parent.as_slice()), ("coordinator", &[][..]))
                }
                name if name == span.process => assert_eq!(parent, Some(("coordinator", whole))),
                _ => match (named("exchange with "), named("answer to ")) {
                    (Some(_), None) => {
                        assert_eq!(parent, Some((span.process.as_str(), span.process.as_str())))
                    }
                    (None, Some(receiver)) => {
                        let exchange = format!("exchange with {}", span.process);
                        assert_eq!(parent, Some((receiver, exchange.as_str())));
                        let longer = by_id[span.parent.as_slice()].nanoseconds;
                        assert!(span.nanoseconds <= longer, "whoever answers takes no longer than who waits");
                    }
                    _ => panic!("{span:?}"),
                },
            }
        }
        let decoder = trace.iter().find(|span| span.name == "receiver 1").unwrap();
        let has_work = decoder.attributes.iter().any(|key| key == "pom2dib.decode_seconds");
        assert_eq!(has_work, is_round, "{decoder:?}");
    }
}

#[test]
fn a_collector_with_an_authority_of_ones_own_is_trusted_by_its_certificate_alone() {
    let runtime = Runtime::new().unwrap();
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let authority = params.self_signed(&key).unwrap();
    let issuer = rcgen::Issuer::new(params, key);
    let own = rcgen::KeyPair::generate().unwrap();
    let certificate =
        rcgen::CertificateParams::new(["localhost".into()]).unwrap().signed_by(&own, &issuer).unwrap();
    let collector = Collector::default();
    let identity = Identity::from_pem(certificate.pem(), own.serialize_pem());
    let port = collector.serve(&runtime, Some(identity));
    let place = Place::new(PROGRAM);
    place.write("authority.pem", authority.pem());
    let words = format!("run tiny.toml --rounds 2 --otlp https://localhost:{port} --page off");

    place.run(&format!("{words} --out a")).done();
    assert!(collector.0.lock().unwrap().is_empty(), "nobody knows its authority");

    let named = format!("OTEL_EXPORTER_OTLP_CERTIFICATE={}", place.path("authority.pem").display());
    place.run(&format!("{named} {words} --out b")).done();
    let spans = collector.0.lock().unwrap();
    let processes: BTreeSet<&str> = spans.iter().map(|span| span.process.as_str()).collect();
    assert_eq!(processes.len(), 5, "{processes:?}");
}

#[test]
fn a_collector_that_does_not_answer_costs_its_traces_alone() {
    let place = Place::new(PROGRAM);
    let nobody = format!("http://127.0.0.1:{}", free_port());
    let with = place.run(&format!("run tiny.toml --otlp {nobody} --page off --out a --json")).done().json();
    let without = place.run("run tiny.toml --page off --out b --json").done().json();
    assert_eq!(with["fingerprint"], without["fingerprint"]);
    for wrong in ["127.0.0.1:4317", "ftp://127.0.0.1:1"] {
        place
            .run(&format!("run tiny.toml --otlp {wrong} --out c"))
            .failed(2, &["--otlp", "http://127.0.0.1:4317"]);
    }
    assert!(!place.path("c").exists());
}
