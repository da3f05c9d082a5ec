//! The Python module `pom2dib._native`: the whole program as one function, and networks, channels, rules of selection
//! and data sets that are written in Python. What drives it is written in Python, beside this.

#[cfg(feature = "module")]
mod channel;
#[cfg(feature = "module")]
mod dataset;
#[cfg(feature = "module")]
mod module;
#[cfg(feature = "module")]
mod network;
#[cfg(feature = "module")]
mod policy;
