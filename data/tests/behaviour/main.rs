//! What opening, reading and verifying promise, one file per behaviour.

mod arrays;
mod bad_files;
mod contents;
mod difficulty;
mod folders;
mod handwritten;
mod labels;
mod layouts;
mod mmfi;
mod mmfi_formats;
mod reading;
mod real_data;
mod validation;
