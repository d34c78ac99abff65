//! Amounts of US dollars, in millionths.

use std::num::ParseIntError;

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

/// Millionths of a US dollar as a number of dollars.
#[expect(clippy::cast_precision_loss, reason = "exact below nine billion dollars")]
pub fn as_dollars(microusd: u64) -> f64 {
    microusd as f64 / 1e6
}

/// Millionths of a US dollar in words, such as `$0.25`: two decimals, and as many more as it needs.
pub fn write_dollars(microusd: u64) -> String {
    let part = format!("{:06}", microusd % 1_000_000);
    let kept = part.trim_end_matches('0').len().max(2);
    format!("${}.{}", microusd / 1_000_000, &part[..kept])
}

#[cfg(test)]
mod tests {
    use super::*;

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
