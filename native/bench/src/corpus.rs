//! Pages to measure with, cut from real files.
//!
//! Covers: which files, and cutting. The sources are those of `benchmarks/corpus.py` (Python
//! sources, shared objects), and programs, text and files that are compressed already. Does not
//! cover: same-filled pages, which no compressor ever sees: they are left out.

use std::fs;
use std::path::{Path, PathBuf};

use zcache_core::codec::{PAGE_SIZE, same_filled};

/// One page.
pub type Page = [u8; PAGE_SIZE];

/// Directories, how the names of their files end, and the share of the pages.
const SOURCES: [(&str, &[&str], usize); 5] = [
    ("/usr/lib", &[".py"], 3),
    ("/usr/lib", &[".so", ".so.1", ".so.2", ".so.6"], 3),
    ("/usr/bin", &[""], 3),
    (
        "/usr/share",
        &[".txt", ".md", ".html", ".xml", ".pl", ".pm", ".h", ".conf"],
        3,
    ),
    ("/usr/share", &[".gz", ".xz", ".png", ".zip", ".woff2"], 1),
];
const SHARES: usize = 13;

/// Up to `pages` pages cut from files, whole pages only.
pub fn load(directory: Option<&Path>, pages: usize) -> Vec<Page> {
    let mut cut = Vec::with_capacity(pages);
    if let Some(directory) = directory {
        cut_files(&files_below(directory, &|_| true), pages, &mut cut);
        return cut;
    }
    let mut shares = 0;
    for (directory, endings, share) in SOURCES {
        shares += share;
        let wanted = |path: &Path| {
            let name = path.file_name().unwrap_or_default().to_string_lossy();
            endings.iter().any(|ending| name.ends_with(ending))
        };
        let files = files_below(Path::new(directory), &wanted);
        cut_files(&files, pages * shares / SHARES, &mut cut);
    }
    cut
}

/// All regular files below a directory, without following links, sorted.
fn files_below(directory: &Path, wanted: &dyn Fn(&Path) -> bool) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let mut open = vec![directory.to_path_buf()];
    while let Some(directory) = open.pop() {
        for entry in fs::read_dir(directory).into_iter().flatten().flatten() {
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => open.push(entry.path()),
                Ok(kind) if kind.is_file() && wanted(&entry.path()) => files.push(entry.path()),
                _ => {}
            }
        }
    }
    files.sort();
    files
}

/// Adds pages until there are `until`; at most 64 from one file, so that no file stands for all.
fn cut_files(files: &[PathBuf], until: usize, pages: &mut Vec<Page>) {
    for path in files {
        let Ok(content) = fs::read(path) else {
            continue;
        };
        for page in content.chunks_exact(PAGE_SIZE).take(64) {
            if pages.len() == until {
                return;
            }
            let page: &Page = page.try_into().expect("a whole page");
            if same_filled(page).is_none() {
                pages.push(*page);
            }
        }
    }
}
