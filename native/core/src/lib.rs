//! The compressed page cache zcache, as plain Rust.

mod arena;
pub mod codec;
mod liblz4;
mod mapping;
pub mod size_classes;
pub mod zsmalloc;
mod zspage;
