//! Networks by configuration, a family of layers a file.

mod dropout;
mod norms;
mod plain;
mod spatial;
