//! The messages of TensorBoard's event files that are written here, with the field numbers of its .proto files.

use std::collections::BTreeMap;

/// tensorflow.Event.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Event {
    #[prost(double, tag = "1")]
    pub(crate) wall_time: f64,
    #[prost(int64, tag = "2")]
    pub(crate) step: i64,
    #[prost(string, optional, tag = "3")]
    pub(crate) file_version: Option<String>,
    #[prost(message, optional, tag = "5")]
    pub(crate) summary: Option<Summary>,
}

/// tensorflow.Summary.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Summary {
    #[prost(message, repeated, tag = "1")]
    pub(crate) value: Vec<Value>,
}

/// tensorflow.Summary.Value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Value {
    #[prost(string, tag = "1")]
    pub(crate) tag: String,
    #[prost(message, optional, tag = "9")]
    pub(crate) metadata: Option<Metadata>,
    #[prost(oneof = "Content", tags = "2, 4, 5")]
    pub(crate) content: Option<Content>,
}

/// What a value is.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Content {
    #[prost(float, tag = "2")]
    Scalar(f32),
    #[prost(message, tag = "4")]
    Image(Image),
    #[prost(message, tag = "5")]
    Histogram(Histogram),
}

/// tensorflow.Summary.Image.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Image {
    #[prost(int32, tag = "1")]
    pub(crate) height: i32,
    #[prost(int32, tag = "2")]
    pub(crate) width: i32,
    /// Channels.
    #[prost(int32, tag = "3")]
    pub(crate) colorspace: i32,
    /// PNG.
    #[prost(bytes = "vec", tag = "4")]
    pub(crate) encoded: Vec<u8>,
}

/// tensorflow.HistogramProto.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Histogram {
    #[prost(double, tag = "1")]
    pub(crate) min: f64,
    #[prost(double, tag = "2")]
    pub(crate) max: f64,
    #[prost(double, tag = "3")]
    pub(crate) num: f64,
    #[prost(double, tag = "4")]
    pub(crate) sum: f64,
    #[prost(double, tag = "5")]
    pub(crate) sum_squares: f64,
    /// Upper ends of the buckets.
    #[prost(double, repeated, tag = "6")]
    pub(crate) bucket_limit: Vec<f64>,
    #[prost(double, repeated, tag = "7")]
    pub(crate) bucket: Vec<f64>,
}

/// tensorflow.SummaryMetadata.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Metadata {
    #[prost(message, optional, tag = "1")]
    pub(crate) plugin: Option<Plugin>,
}

/// tensorflow.SummaryMetadata.PluginData.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Plugin {
    #[prost(string, tag = "1")]
    pub(crate) name: String,
    #[prost(bytes = "vec", tag = "2")]
    pub(crate) content: Vec<u8>,
}

/// tensorboard.hparams.HParamsPluginData.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct HyperParameters {
    #[prost(int32, tag = "1")]
    pub(crate) version: i32,
    #[prost(message, optional, tag = "3")]
    pub(crate) start: Option<SessionStart>,
    #[prost(message, optional, tag = "4")]
    pub(crate) end: Option<SessionEnd>,
}

/// tensorboard.hparams.SessionStartInfo.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionStart {
    #[prost(btree_map = "string, message", tag = "1")]
    pub(crate) parameters: BTreeMap<String, Parameter>,
    #[prost(string, tag = "4")]
    pub(crate) group: String,
    #[prost(double, tag = "5")]
    pub(crate) start_seconds: f64,
}

/// tensorboard.hparams.SessionEndInfo.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct SessionEnd {
    /// 1: success.
    #[prost(int32, tag = "1")]
    pub(crate) status: i32,
    #[prost(double, tag = "2")]
    pub(crate) end_seconds: f64,
}

/// google.protobuf.Value.
#[derive(Clone, PartialEq, prost::Message)]
pub(crate) struct Parameter {
    #[prost(oneof = "Kind", tags = "2, 3, 4")]
    pub(crate) kind: Option<Kind>,
}

/// The kinds of it that a scenario's keys have.
#[derive(Clone, PartialEq, prost::Oneof)]
pub(crate) enum Kind {
    #[prost(double, tag = "2")]
    Number(f64),
    #[prost(string, tag = "3")]
    Text(String),
    #[prost(bool, tag = "4")]
    Truth(bool),
}
