//! Copies elsewhere that are no longer wanted, until the layer above fetches their names.

use std::collections::VecDeque;

use crate::page::{AwayPage, AwayPages};

/// First in, first out; each copy is handed out once.
#[derive(Default)]
pub struct DisplacedQueue {
    pages: VecDeque<AwayPage>,
}

impl DisplacedQueue {
    /// How many are queued.
    pub fn len(&self) -> usize {
        self.pages.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// Queue one copy.
    pub fn push(&mut self, page: AwayPage) {
        self.pages.push_back(page);
    }

    /// Take out up to that many, oldest first.
    pub fn drain(&mut self, pages_max: usize) -> AwayPages {
        let mut taken = AwayPages::default();
        for page in self.pages.drain(..pages_max.min(self.pages.len())) {
            taken.push(0, &page);
        }
        if self.pages.is_empty() {
            self.pages = VecDeque::new();
        }
        taken
    }

    /// Bytes of the queue.
    pub fn metadata_bytes(&self) -> usize {
        self.pages.capacity() * size_of::<AwayPage>()
    }
}
