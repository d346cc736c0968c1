//! The compressed page cache zcache, as plain Rust.
