//! The messages of an ONNX file that this program writes: field numbers and names are those of `onnx.proto`.

/// Type of values: float32.
pub(super) const FLOAT: i32 = 1;

/// Type of values: int64.
pub(super) const INT64: i32 = 7;

/// The version of the operators, and the version of the format that goes with it.
pub(super) const OPERATORS: i64 = 20;
const FORMAT: i64 = 9;

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Model {
    #[prost(int64, tag = "1")]
    pub(super) ir_version: i64,
    #[prost(string, tag = "2")]
    pub(super) producer_name: String,
    #[prost(string, tag = "3")]
    pub(super) producer_version: String,
    #[prost(message, optional, tag = "7")]
    pub(super) graph: Option<GraphMessage>,
    #[prost(message, repeated, tag = "8")]
    pub(super) opset_import: Vec<Operators>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Operators {
    #[prost(string, tag = "1")]
    pub(super) domain: String,
    #[prost(int64, tag = "2")]
    pub(super) version: i64,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct GraphMessage {
    #[prost(message, repeated, tag = "1")]
    pub(super) node: Vec<Node>,
    #[prost(string, tag = "2")]
    pub(super) name: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) initializer: Vec<Values>,
    #[prost(message, repeated, tag = "11")]
    pub(super) input: Vec<Port>,
    #[prost(message, repeated, tag = "12")]
    pub(super) output: Vec<Port>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Node {
    #[prost(string, repeated, tag = "1")]
    pub(super) input: Vec<String>,
    #[prost(string, repeated, tag = "2")]
    pub(super) output: Vec<String>,
    #[prost(string, tag = "3")]
    pub(super) name: String,
    #[prost(string, tag = "4")]
    pub(super) op_type: String,
    #[prost(message, repeated, tag = "5")]
    pub(super) attribute: Vec<Attribute>,
}

#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Attribute {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(float, tag = "2")]
    f: f32,
    #[prost(int64, tag = "3")]
    i: i64,
    #[prost(int64, repeated, packed = "false", tag = "8")]
    ints: Vec<i64>,
    /// 1: `f` is the value; 2: `i` is; 7: `ints` are.
    #[prost(int32, tag = "20")]
    kind: i32,
}

/// A tensor.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Values {
    #[prost(int64, repeated, tag = "1")]
    pub(super) dims: Vec<i64>,
    #[prost(int32, tag = "2")]
    pub(super) data_type: i32,
    #[prost(string, tag = "8")]
    pub(super) name: String,
    /// Little-endian, row-major.
    #[prost(bytes = "vec", tag = "9")]
    pub(super) raw_data: Vec<u8>,
}

/// An input or output of the graph.
#[derive(Clone, PartialEq, prost::Message)]
pub(super) struct Port {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(message, optional, tag = "2")]
    kind: Option<Kind>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Kind {
    #[prost(message, optional, tag = "1")]
    tensor: Option<TensorKind>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct TensorKind {
    #[prost(int32, tag = "1")]
    elem_type: i32,
    #[prost(message, optional, tag = "2")]
    shape: Option<Shape>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Shape {
    #[prost(message, repeated, tag = "1")]
    dim: Vec<Size>,
}

#[derive(Clone, PartialEq, prost::Message)]
struct Size {
    /// A number or a name.
    #[prost(oneof = "Either", tags = "1, 2")]
    either: Option<Either>,
}

#[derive(Clone, PartialEq, prost::Oneof)]
enum Either {
    #[prost(int64, tag = "1")]
    Number(i64),
    #[prost(string, tag = "2")]
    Name(String),
}

impl Model {
    /// A file with this graph.
    pub(super) fn new(graph: GraphMessage) -> Self {
        Model {
            ir_version: FORMAT,
            producer_name: "pom2dib".into(),
            producer_version: proto::VERSION.into(),
            graph: Some(graph),
            opset_import: vec![Operators { domain: String::new(), version: OPERATORS }],
        }
    }
}

impl Attribute {
    pub(super) fn float(name: &str, f: f32) -> Self {
        Attribute { name: name.into(), f, kind: 1, ..Attribute::default() }
    }

    pub(super) fn integer(name: &str, i: i64) -> Self {
        Attribute { name: name.into(), i, kind: 2, ..Attribute::default() }
    }

    pub(super) fn integers(name: &str, ints: &[i64]) -> Self {
        Attribute { name: name.into(), ints: ints.to_vec(), kind: 7, ..Attribute::default() }
    }
}

impl Port {
    /// Float32 values; with rows, any number of them.
    pub(super) fn floats(name: &str, has_rows: bool, width: usize) -> Self {
        let size = |either| Size { either: Some(either) };
        let rows = has_rows.then(|| size(Either::Name("rows".into())));
        let dim = rows.into_iter().chain([size(Either::Number(width as i64))]).collect();
        let tensor = TensorKind { elem_type: FLOAT, shape: Some(Shape { dim }) };
        Port { name: name.into(), kind: Some(Kind { tensor: Some(tensor) }) }
    }
}
