//! Measurements behind the choices in zcache-core.
//!
//!     cargo run --release -p zcache-bench -- codecs [--data DIR] [--pages N] [--rounds N]

use std::path::PathBuf;
use std::process::ExitCode;

mod codecs;
mod corpus;
mod lz4;
mod rounds;

const USAGE: &str = "zcache-bench codecs [--data DIR] [--pages N] [--rounds N]";

/// What the command line asks for.
struct Options {
    /// Cut pages from all files below this directory instead of the machine's own.
    data: Option<PathBuf>,
    pages: usize,
    rounds: usize,
}

fn options(mut words: impl Iterator<Item = String>) -> Option<Options> {
    let mut options = Options {
        data: None,
        pages: 8192,
        rounds: 15,
    };
    if words.next()? != "codecs" {
        return None;
    }
    while let Some(name) = words.next() {
        let value = words.next()?;
        match name.as_str() {
            "--data" => options.data = Some(value.into()),
            "--pages" => options.pages = value.parse().ok()?,
            "--rounds" => options.rounds = value.parse().ok().filter(|&rounds| rounds > 0)?,
            _ => return None,
        }
    }
    Some(options)
}

fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        eprintln!("{USAGE}");
        return ExitCode::FAILURE;
    };
    let pages = corpus::load(options.data.as_deref(), options.pages);
    if pages.is_empty() {
        eprintln!("no file with a whole page");
        return ExitCode::FAILURE;
    }
    codecs::measure(&pages, options.rounds);
    ExitCode::SUCCESS
}
