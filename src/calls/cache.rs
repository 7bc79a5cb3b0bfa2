//! A bounded memory of what was worked out from a text.
//!
//! Hosts, callers, keys and addresses repeat: each is enriched once and looked up ever after. When a cache is full it is
//! emptied, which costs time and never changes an answer.
//!
//! Not here: anything that outlives the process. Texts may be secrets, so a cache is neither written nor printed.

use std::collections::HashMap;

use foldhash::fast::RandomState;

/// Texts longer than this are worked out each time, so that a cache's bytes are bounded too.
const MAX_TEXT_BYTES: usize = 512;

/// Answers by the text that they were worked out from.
pub(super) struct Cache<V> {
    positions: HashMap<Box<str>, usize, RandomState>,
    answers: Vec<V>,
    limit: usize,
}

impl<V> Cache<V> {
    /// An empty cache of at most `limit` texts.
    pub fn new(limit: usize) -> Self {
        Self { positions: HashMap::default(), answers: Vec::new(), limit }
    }

    /// Hands the answer for `text` to `read`; works it out by `answer` where it is not known.
    pub fn with<R>(&mut self, text: &str, answer: impl FnOnce(&str) -> V, read: impl FnOnce(&V) -> R) -> R {
        if let Some(known) = self.positions.get(text).and_then(|&position| self.answers.get(position)) {
            return read(known);
        }
        let made = answer(text);
        let told = read(&made);
        if text.len() <= MAX_TEXT_BYTES {
            self.remember(text, made);
        }
        told
    }

    fn remember(&mut self, text: &str, answer: V) {
        if self.answers.len() >= self.limit {
            self.positions.clear();
            self.answers.clear();
        }
        self.positions.insert(text.into(), self.answers.len());
        self.answers.push(answer);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_cache_forgets_and_still_answers_right() {
        let mut cache = Cache::new(2);
        for round in 0..3 {
            for text in ["a", "bb", "ccc"] {
                assert_eq!(cache.with(text, str::len, |&length| length), text.len(), "round {round}");
                assert!(cache.answers.len() <= 2);
            }
        }
    }
}
