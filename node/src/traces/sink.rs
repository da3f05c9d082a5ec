use std::{sync::Arc, time::Duration};

use opentelemetry::{
    InstrumentationScope, KeyValue, SpanId, TraceFlags, TraceId,
    trace::{SpanContext, SpanKind, Status, TraceState},
};
use opentelemetry_otlp::{
    SpanExporter, WithExportConfig, WithTonicConfig,
    tonic_types::transport::{Certificate, ClientTlsConfig},
};
use opentelemetry_sdk::{
    Resource,
    trace::{SpanData, SpanEvents, SpanExporter as _, SpanLinks},
};
use tokio::{
    sync::{mpsc, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{Collector, Span, SpanOf, TraceOf};

/// The variables that name a file of certificates in PEM, the more special first.
const AUTHORITY_VARIABLES: [&str; 2] =
    ["OTEL_EXPORTER_OTLP_TRACES_CERTIFICATE", "OTEL_EXPORTER_OTLP_CERTIFICATE"];

/// Spans that wait to be sent; beyond, they are lost.
const MOST_WAITING: usize = 8192;

/// Spans of a message to the collector, and how long the first of them waits for others.
const BATCH: usize = 512;
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// How long the collector may take for a message, and how long the end of a process waits for the last ones.
const PATIENCE: Duration = Duration::from_secs(3);

/// Sends spans to a collector, from a task of its own.
#[derive(Clone, Debug)]
pub(super) struct Sink {
    messages: mpsc::Sender<Message>,
    scope: Arc<InstrumentationScope>,
}

enum Message {
    Span(Box<SpanData>),
    /// Tells when all spans before it have been sent.
    Flush(oneshot::Sender<()>),
}

impl Sink {
    /// Begins to send to a collector; it need not answer yet.
    pub(super) fn open(collector: &Collector, who: &str) -> Option<Self> {
        let exporter = exporter(collector, who)
            .map_err(|error| eprintln!("warning: --otlp {collector}: {error}; there are no traces"))
            .ok()?;
        let (messages, inbox) = mpsc::channel(MOST_WAITING);
        tokio::spawn(send(exporter, inbox, collector.clone()));
        let scope = InstrumentationScope::builder("pom2dib").with_version(proto::VERSION).build();
        Some(Sink { messages, scope: scope.into() })
    }

    pub(super) fn record(&self, span: &Span) {
        // A collector that is too slow for all loses some: a run does not wait for it.
        let _ = self.messages.try_send(Message::Span(self.data(span).into()));
    }

    pub(super) async fn flush(&self) {
        let (sent, all_sent) = oneshot::channel();
        let flush = async {
            if self.messages.send(Message::Flush(sent)).await.is_ok() {
                let _ = all_sent.await;
            }
        };
        let _ = timeout(PATIENCE, flush).await;
    }

    fn data(&self, span: &Span) -> SpanData {
        let Span { trace, of, began, ended, figures } = span;
        let context = SpanContext::new(
            TraceId::from_bytes(trace.id()),
            SpanId::from_bytes(trace.span_id(*of)),
            TraceFlags::SAMPLED,
            false,
            TraceState::default(),
        );
        let parent = of.parent().map(|parent| SpanId::from_bytes(trace.span_id(parent)));
        let which = match trace.of {
            TraceOf::Round(round) => KeyValue::new("pom2dib.round", round.cast_signed()),
            TraceOf::Pass { number, .. } => KeyValue::new("pom2dib.pass", number.cast_signed()),
        };
        let mut attributes =
            vec![which, KeyValue::new("pom2dib.incarnation", trace.incarnation.cast_signed())];
        if let (TraceOf::Pass { .. }, SpanOf::Exchange(pair) | SpanOf::Answer(pair)) = (trace.of, of) {
            attributes.push(KeyValue::new("pom2dib.piece", pair.part.cast_signed()));
        }
        attributes.extend(figures.iter().map(|(name, value)| KeyValue::new(name.clone(), *value)));
        SpanData {
            span_context: context,
            parent_span_id: parent.unwrap_or(SpanId::INVALID),
            parent_span_is_remote: !matches!(of, SpanOf::Whole | SpanOf::Exchange(_)),
            span_kind: match of {
                SpanOf::Exchange(_) => SpanKind::Client,
                SpanOf::Answer(_) => SpanKind::Server,
                SpanOf::Whole | SpanOf::Transmitter(_) | SpanOf::Receiver(_) => SpanKind::Internal,
            },
            name: trace.name(*of).into(),
            start_time: *began,
            end_time: *ended,
            attributes,
            dropped_attributes_count: 0,
            events: SpanEvents::default(),
            links: SpanLinks::default(),
            status: Status::Unset,
            instrumentation_scope: (*self.scope).clone(),
        }
    }
}

fn exporter(collector: &Collector, who: &str) -> Result<SpanExporter, String> {
    let builder = SpanExporter::builder().with_tonic().with_endpoint(collector.url()).with_timeout(PATIENCE);
    let builder = match collector.url().starts_with("https:") {
        true => builder.with_tls_config(authorities()?),
        false => builder,
    };
    let mut exporter = builder.build().map_err(|error| error.to_string())?;
    let resource = Resource::builder_empty().with_attributes([
        KeyValue::new("service.name", "pom2dib"),
        KeyValue::new("service.version", proto::VERSION),
        KeyValue::new("service.instance.id", who.to_owned()),
    ]);
    exporter.set_resource(&resource.build());
    Ok(exporter)
}

/// Whom an https collector is trusted by: public authorities, and those in the file that OpenTelemetry's variable
/// names.
fn authorities() -> Result<ClientTlsConfig, String> {
    let public = ClientTlsConfig::new().with_enabled_roots();
    // An empty variable counts as none.
    let value = |name: &str| std::env::var_os(name).filter(|path| !path.is_empty());
    let named = AUTHORITY_VARIABLES.iter().find_map(|name| Some((name, value(name)?)));
    let Some((name, path)) = named else { return Ok(public) };
    let pem = std::fs::read(&path).map_err(|error| format!("{name}={}: {error}", path.display()))?;
    Ok(public.ca_certificate(Certificate::from_pem(pem)))
}

/// Sends spans in batches, until the last sender is gone.
async fn send(exporter: SpanExporter, mut inbox: mpsc::Receiver<Message>, collector: Collector) {
    let mut has_complained = false;
    while let Some(first) = inbox.recv().await {
        let (batch, flushed) = gather(first, &mut inbox).await;
        if !batch.is_empty()
            && let Err(error) = exporter.export(batch).await
            && !std::mem::replace(&mut has_complained, true)
        {
            tracing::warn!(%error, "{collector} takes no traces: the run goes on without");
        }
        if let Some(flushed) = flushed {
            let _ = flushed.send(());
        }
    }
}

/// Gathers spans after a first message, until there are enough, they have waited long enough, or somebody waits for
/// them.
async fn gather(
    first: Message,
    inbox: &mut mpsc::Receiver<Message>,
) -> (Vec<SpanData>, Option<oneshot::Sender<()>>) {
    let end = Instant::now() + LONGEST_WAIT;
    let mut batch = Vec::new();
    let mut next = Some(first);
    loop {
        match next {
            Some(Message::Span(span)) => batch.push(*span),
            Some(Message::Flush(sent)) => return (batch, Some(sent)),
            None => return (batch, None),
        }
        if batch.len() >= BATCH {
            return (batch, None);
        }
        next = tokio::select! {
            biased;
            message = inbox.recv() => message,
            () = sleep_until(end) => None,
        };
    }
}
