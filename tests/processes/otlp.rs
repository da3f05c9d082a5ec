//! `run --otlp`: a collector gets one trace a round, with spans of every process.

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
use tonic::{Request, Response, Status, transport::Server};

use crate::PROGRAM;

/// What a collector keeps of a span.
#[derive(Clone, Debug)]
struct Span {
    process: String,
    name: String,
    trace: Vec<u8>,
    id: Vec<u8>,
    parent: Vec<u8>,
    round: i64,
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
                    Some(Value::IntValue(round)) => round,
                    other => panic!("{other:?} is no round"),
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
    /// Begins to collect; returns the URL.
    fn serve(&self, runtime: &Runtime) -> String {
        let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let service = TraceServiceServer::new(self.clone());
        let served =
            Server::builder().add_service(service).serve_with_incoming(TcpListenerStream::new(listener));
        runtime.spawn(async { served.await.unwrap() });
        url
    }
}

#[test]
fn every_round_is_one_trace_over_all_processes() {
    let runtime = Runtime::new().unwrap();
    let collector = Collector::default();
    let url = collector.serve(&runtime);
    let place = Place::new(PROGRAM);

    place.run(&format!("run tiny.toml --otlp {url} --page off --out a")).done();

    let spans = collector.0.lock().unwrap().clone();
    let mut by_trace: BTreeMap<Vec<u8>, Vec<Span>> = BTreeMap::new();
    spans.iter().for_each(|span| by_trace.entry(span.trace.clone()).or_default().push(span.clone()));
    let rounds: BTreeSet<i64> = spans.iter().map(|span| span.round).collect();
    assert_eq!((rounds.len(), by_trace.len()), (6, 6), "a trace a round");
    for trace in by_trace.values() {
        let processes: BTreeSet<&str> = trace.iter().map(|span| span.process.as_str()).collect();
        let all = ["coordinator", "receiver 0", "receiver 1", "transmitter 0", "transmitter 1"];
        assert_eq!(processes, BTreeSet::from(all));
        // The round, four nodes, and an exchange and its answer for each of four links.
        assert_eq!(trace.len(), 1 + 4 + 8, "{trace:#?}");
        let by_id: BTreeMap<&[u8], &Span> = trace.iter().map(|span| (span.id.as_slice(), span)).collect();
        assert_eq!(by_id.len(), trace.len(), "no two spans have one id");
        for span in trace {
            let parent = by_id
                .get(span.parent.as_slice())
                .map(|parent| (parent.process.as_str(), parent.name.as_str()));
            let named = |prefix: &str| span.name.strip_prefix(prefix);
            match span.name.as_str() {
                "round" => {
                    assert_eq!((span.process.as_str(), span.parent.as_slice()), ("coordinator", &[][..]))
                }
                name if name == span.process => assert_eq!(parent, Some(("coordinator", "round"))),
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
        assert!(decoder.attributes.iter().any(|key| key == "pom2dib.decode_seconds"), "{decoder:?}");
    }
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
