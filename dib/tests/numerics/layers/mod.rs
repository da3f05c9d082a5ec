//! Configurable networks, one family of layers in each file.

mod dropout;
mod norms;
mod plain;
mod spatial;
