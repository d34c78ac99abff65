//! What calls cost.

use crate::schema::Usage;
use crate::schema::offer::Tariff;

/// Tokens that a price is for.
const MILLION: u128 = 1_000_000;

/// What one call that was billed so much costs, in millionths of a US dollar; a part of one counts as a whole.
pub fn cost(tariff: &Tariff, usage: &Usage) -> u64 {
    let long = tariff.long.filter(|long| usage.prompt_tokens() > long.above_tokens);
    let price = long.map_or(tariff.price, |long| long.price);
    let parts = [
        (usage.input_tokens, price.input),
        (usage.output_tokens, price.output),
        (usage.cache_read_tokens, price.cache_read),
        (usage.cache_write_tokens, price.cache_write),
    ];
    let sum: u128 = parts.iter().map(|(tokens, price)| u128::from(*tokens) * u128::from(*price)).sum();
    u64::try_from(sum.div_ceil(MILLION)).unwrap_or(u64::MAX)
}

/// By what tariffs are compared: a usual call reads three tokens for each that it writes.
pub fn rank(tariff: &Tariff) -> u64 {
    tariff.price.input.saturating_mul(3).saturating_add(tariff.price.output)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::schema::offer::{LongPrice, Price};

    /// Cents of a US dollar for a million tokens; the cache at the usual tenth and five quarters.
    fn price(input: u64, output: u64) -> Price {
        let (input, output) = (input * 10_000, output * 10_000);
        Price { input, output, cache_read: input / 10, cache_write: input * 5 / 4 }
    }

    fn flat(input: u64, output: u64) -> Tariff {
        Tariff { price: price(input, output), long: None }
    }

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
        let haiku = LongPrice { above_tokens: 100_000, price: price(50, 250) };
        let haiku = Tariff { price: price(10, 50), long: Some(haiku) };
        let opus = Tariff { price: Price { cache_read: 200_000, ..price(400, 2_000) }, long: None };
        for (tariff, used, microusd) in [
            (flat(300, 1_500), usage(0, 0, 0, 0), 0),
            // 1000 × 3 + 100 × 15 = 4500 millionths.
            (flat(300, 1_500), usage(1_000, 100, 0, 0), 4_500),
            // 10 × 3 + 20 × 15 + 1000 × 0.3 + 400 × 3.75 = 30 + 300 + 300 + 1500.
            (flat(300, 1_500), usage(10, 20, 1_000, 400), 2_130),
            // The cache is read at a twentieth: 1000 × 0.2.
            (opus, usage(0, 0, 1_000, 0), 200),
            // 7 × 0.5 = 3.5, which counts as 4; 1 × 6.25 as 7.
            (flat(500, 2_500), usage(0, 0, 7, 0), 4),
            (flat(500, 2_500), usage(0, 0, 0, 1), 7),
            // 1 × 0.01, 1 × 0.125 and 1 × 0.1.
            (haiku, usage(1, 0, 1, 1), 1),
            // 100,000 × 0.1, and one token more at five times the price: 100,001 × 0.5.
            (haiku, usage(100_000, 0, 0, 0), 10_000),
            (haiku, usage(100_001, 0, 0, 0), 50_001),
            (haiku, usage(1, 10, 100_000, 0), 5_026),
            (flat(1_000, 5_000), usage(u64::MAX / 2, u64::MAX, 0, 0), u64::MAX),
            (flat(0, 0), usage(1_000_000, 1_000_000, 0, 0), 0),
        ] {
            assert_eq!(cost(&tariff, &used), microusd, "{tariff:?} {used:?}");
        }
    }

    #[test]
    fn the_cheaper_of_two_is_so_for_a_usual_call() {
        assert!(rank(&flat(30, 120)) < rank(&flat(95, 400)));
        // Three times 0.5 and 10 is more than three times 2 and 4.
        assert!(rank(&flat(50, 1_000)) > rank(&flat(200, 400)));
    }
}
