//! The compressed page cache zcache, as plain Rust.

mod arena;
mod mapping;
pub mod size_classes;
pub mod zsmalloc;
mod zspage;
