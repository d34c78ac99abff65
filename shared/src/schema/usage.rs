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
        self.input_tokens.saturating_add(self.cache_read_tokens).saturating_add(self.cache_write_tokens)
    }

    /// What has been billed since it was `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Self {
        Self {
            input_tokens: self.input_tokens.saturating_sub(earlier.input_tokens),
            output_tokens: self.output_tokens.saturating_sub(earlier.output_tokens),
            cache_read_tokens: self.cache_read_tokens.saturating_sub(earlier.cache_read_tokens),
            cache_write_tokens: self.cache_write_tokens.saturating_sub(earlier.cache_write_tokens),
            thinking_tokens: self.thinking_tokens.saturating_sub(earlier.thinking_tokens),
        }
    }
}

impl AddAssign for Usage {
    /// The figures are a provider's: sums stop at the largest number.
    fn add_assign(&mut self, other: Self) {
        for (count, more) in [
            (&mut self.input_tokens, other.input_tokens),
            (&mut self.output_tokens, other.output_tokens),
            (&mut self.cache_read_tokens, other.cache_read_tokens),
            (&mut self.cache_write_tokens, other.cache_write_tokens),
            (&mut self.thinking_tokens, other.thinking_tokens),
        ] {
            *count = count.saturating_add(more);
        }
    }
}
