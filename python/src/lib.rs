//! The Python module `pom2dib._native`: the whole program as one function. What drives it is written in Python, beside this.

#[cfg(feature = "module")]
mod module;
