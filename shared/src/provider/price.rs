//! What a call costs.
//!
//! The prices are those of Anthropic's list as litellm 1.109.1 carries it, and for `claude-fable-5-2` and
//! `claude-haiku-5-5` those that the Claude CLI 2.1.330 reckons with, both read on 23 November 2026. Writing
//! to the cache costs a quarter more than input; reading from it a tenth of input where nothing else is
//! listed.

use std::num::ParseIntError;

use super::catalogue::{DEMO, resolve};
use crate::schema::Usage;

/// What a million tokens cost, in thousandths of a US dollar. A token then costs as many billionths.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Price {
    input: u64,
    output: u64,
    cache_read: u64,
}

/// What a model's tokens cost, and what they cost in calls with a longer prompt than so many tokens.
struct Tariff {
    model: &'static str,
    price: Price,
    long: Option<(u64, Price)>,
}

const TARIFFS: [Tariff; 16] = [
    flat("claude-fable-5-2", 8_000, 40_000),
    flat("claude-fable-5-1", 10_000, 50_000),
    flat("claude-fable-5", 10_000, 50_000),
    Tariff {
        model: "claude-opus-5-5",
        price: Price { input: 4_000, output: 20_000, cache_read: 200 },
        long: None,
    },
    flat("claude-opus-5", 5_000, 25_000),
    flat("claude-opus-4-8", 5_000, 25_000),
    flat("claude-opus-4-7", 5_000, 25_000),
    flat("claude-opus-4-6", 5_000, 25_000),
    flat("claude-opus-4-5", 5_000, 25_000),
    flat("claude-sonnet-5-5", 2_000, 10_000),
    flat("claude-sonnet-5", 2_000, 10_000),
    flat("claude-sonnet-4-6", 3_000, 15_000),
    flat("claude-sonnet-4-5", 3_000, 15_000),
    Tariff { model: "claude-haiku-5-5", price: plain(100, 500), long: Some((100_000, plain(500, 2_500))) },
    flat("claude-haiku-4-5", 1_000, 5_000),
    flat(DEMO, 0, 0),
];

const fn flat(model: &'static str, input: u64, output: u64) -> Tariff {
    Tariff { model, price: plain(input, output), long: None }
}

const fn plain(input: u64, output: u64) -> Price {
    Price { input, output, cache_read: input / 10 }
}

/// What one call that used so much of `model` costs, in millionths of a US dollar; a part of one counts as a
/// whole. `None` if the model has no known price.
pub fn cost(model: &str, usage: &Usage) -> Option<u64> {
    let model = resolve(model);
    let tariff = TARIFFS.iter().find(|tariff| tariff.model == model)?;
    let long = tariff.long.filter(|(above, _)| usage.prompt_tokens() > *above);
    let price = long.map_or(tariff.price, |(_, price)| price);
    // In four billionths of a dollar, so that the quarter more of the cache's writes is a whole number too.
    let quarters = [
        (usage.input_tokens, price.input * 4),
        (usage.output_tokens, price.output * 4),
        (usage.cache_read_tokens, price.cache_read * 4),
        (usage.cache_write_tokens, price.input * 5),
    ];
    let sum: u128 = quarters.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
    Some(u64::try_from(sum.div_ceil(4_000)).unwrap_or(u64::MAX))
}

/// An amount that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not an amount of US dollars above nothing, such as 2 or 0.25, with six decimals at most")]
pub struct NoAmount;

/// Reads an amount of US dollars, in millionths: digits, and up to six more behind a point.
pub fn read_dollars(text: &str) -> Result<u64, NoAmount> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 6 {
        return Err(NoAmount);
    }
    let no_amount = |_: ParseIntError| NoAmount;
    let whole: u64 = whole.parse().map_err(no_amount)?;
    let part: u64 = format!("{part:0<6}").parse().map_err(no_amount)?;
    whole.checked_mul(1_000_000).and_then(|whole| whole.checked_add(part)).ok_or(NoAmount)
}

/// Millionths of a US dollar in words, such as `$0.25`: two decimals, and as many more as it needs.
pub fn write_dollars(microusd: u64) -> String {
    let part = format!("{:06}", microusd % 1_000_000);
    let kept = part.trim_end_matches('0').len().max(2);
    format!("${}.{}", microusd / 1_000_000, &part[..kept])
}

#[cfg(test)]
mod tests {
    use super::super::Offer;
    use super::*;

    fn usage(input: u64, output: u64, read: u64, write: u64) -> Usage {
        Usage {
            input_tokens: input,
            output_tokens: output,
            cache_read_tokens: read,
            cache_write_tokens: write,
            thinking_tokens: output,
            ..Usage::default()
        }
    }

    #[test]
    fn calls_cost_what_was_reckoned_by_hand() {
        for (model, used, microusd) in [
            ("claude-sonnet-4-5", usage(0, 0, 0, 0), 0),
            // 1000 × 3 + 100 × 15 = 4500 millionths.
            ("claude-sonnet-4-5", usage(1_000, 100, 0, 0), 4_500),
            // 10 × 3 + 20 × 15 + 1000 × 0.3 + 400 × 3.75 = 30 + 300 + 300 + 1500.
            ("claude-sonnet-4-5", usage(10, 20, 1_000, 400), 2_130),
            // The cache is read at a twentieth: 1000 × 0.2.
            ("claude-opus-5-5", usage(0, 0, 1_000, 0), 200),
            // 7 × 0.5 = 3.5, which counts as 4; 1 × 6.25 as 7.
            ("claude-opus-5", usage(0, 0, 7, 0), 4),
            ("claude-opus-5", usage(0, 0, 0, 1), 7),
            // 1 × 0.01, 1 × 0.125 and 1 × 0.1.
            ("claude-haiku-5-5", usage(1, 0, 1, 1), 1),
            // 100,000 × 0.1, and one token more at five times the price: 100,001 × 0.5.
            ("claude-haiku-5-5", usage(100_000, 0, 0, 0), 10_000),
            ("claude-haiku-5-5", usage(100_001, 0, 0, 0), 50_001),
            ("claude-haiku-5-5", usage(1, 10, 100_000, 0), 5_026),
            // A retired name costs what its successor does.
            ("claude-opus-4-20250514", usage(1_000, 0, 0, 0), 4_000),
            ("claude-fable-5", usage(u64::MAX / 2, u64::MAX, 0, 0), u64::MAX),
            (DEMO, usage(1_000_000, 1_000_000, 0, 0), 0),
        ] {
            assert_eq!(cost(model, &used), Some(microusd), "{model} {used:?}");
        }
        assert_eq!(cost("kimi-k3", &usage(1, 1, 1, 1)), None);
    }

    #[test]
    fn every_model_of_the_catalogue_has_a_price() {
        for offer in [Offer::new(true, None), Offer::new(false, None)] {
            for model in offer.models {
                assert!(cost(&model, &Usage::default()).is_some(), "{model}");
            }
        }
    }

    #[test]
    fn amounts_are_read_and_written_exactly() {
        for (text, microusd, written) in [
            ("0", 0, "$0.00"),
            ("2", 2_000_000, "$2.00"),
            ("0.25", 250_000, "$0.25"),
            ("1.5", 1_500_000, "$1.50"),
            ("0.000001", 1, "$0.000001"),
            ("0012.340", 12_340_000, "$12.34"),
        ] {
            assert_eq!(read_dollars(text), Ok(microusd), "{text}");
            assert_eq!(write_dollars(microusd), written);
        }
        for text in
            ["", ".", "1.", ".5", "-1", "+1", "1e3", "1,5", "$1", "0.0000001", " 1", "99999999999999999999"]
        {
            assert_eq!(read_dollars(text), Err(NoAmount), "{text}");
        }
        assert_eq!(read_dollars("18446744073709.551616"), Err(NoAmount), "one more than there is room for");
    }
}
