//! What the provider billed.

use std::ops::AddAssign;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Token counts of one or more upstream calls, from the provider's own figures. All counts are disjoint:
/// `input_tokens` excludes what was read from or written to the cache (Anthropic Messages API, `usage`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
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
    /// Searches of the web that the provider made for the model.
    #[serde(default)]
    pub web_searches: u64,
    /// What the calls with a known price cost, in millionths of a US dollar.
    #[serde(default)]
    pub cost_microusd: u64,
    /// Calls whose price is not known: what they cost comes on top.
    #[serde(default)]
    pub unpriced_calls: u64,
}

impl Usage {
    /// Everything that went in: fresh, cached and newly cached.
    pub fn prompt_tokens(&self) -> u64 {
        self.input_tokens.saturating_add(self.cache_read_tokens).saturating_add(self.cache_write_tokens)
    }

    /// What has been billed since it was `earlier`.
    #[must_use]
    pub fn since(mut self, earlier: &Self) -> Self {
        for (count, before) in self.counts().into_iter().zip(earlier.figures()) {
            *count = count.saturating_sub(before);
        }
        self
    }

    /// Every figure, in the order of the fields.
    pub fn figures(mut self) -> [u64; 8] {
        self.counts().map(|count| *count)
    }

    /// The same, to be changed.
    fn counts(&mut self) -> [&mut u64; 8] {
        let Self {
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            thinking_tokens,
            web_searches,
            cost_microusd,
            unpriced_calls,
        } = self;
        [
            input_tokens,
            output_tokens,
            cache_read_tokens,
            cache_write_tokens,
            thinking_tokens,
            web_searches,
            cost_microusd,
            unpriced_calls,
        ]
    }
}

impl AddAssign for Usage {
    /// The figures are a provider's: sums stop at the largest number.
    fn add_assign(&mut self, other: Self) {
        for (count, more) in self.counts().into_iter().zip(other.figures()) {
            *count = count.saturating_add(more);
        }
    }
}
