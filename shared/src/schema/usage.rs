//! What the provider billed.

use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

/// Token counts of one or more upstream calls, from the provider's own figures. All counts are disjoint:
/// `input_tokens` excludes what was read from or written to the cache (Anthropic Messages API, `usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Usage {
    /// Prompt tokens billed at the full price.
    pub input_tokens: u64,
    /// Answer tokens, thinking included.
    pub output_tokens: u64,
    /// Prompt tokens read from the provider's cache.
    pub cache_read_tokens: u64,
    /// Prompt tokens written to the provider's cache.
    pub cache_write_tokens: u64,
    /// The part of `output_tokens` that was thinking, as far as the provider tells.
    pub thinking_tokens: u64,
}

impl Usage {
    /// Everything that went in: fresh, cached and newly cached.
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens + self.cache_read_tokens + self.cache_write_tokens
    }
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        self.input_tokens += other.input_tokens;
        self.output_tokens += other.output_tokens;
        self.cache_read_tokens += other.cache_read_tokens;
        self.cache_write_tokens += other.cache_write_tokens;
        self.thinking_tokens += other.thinking_tokens;
    }
}
