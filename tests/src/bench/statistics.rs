//! Medians and other quantiles.

/// The middle value.
pub(super) fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which this share of all values lies, between neighbours by proportion.
pub(super) fn quantile(values: &[f64], share: f64) -> f64 {
    assert!(!values.is_empty(), "nothing was measured");
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len() - 1;
    let at = share * as_f64(last);
    let below = (0..=last).take_while(|index| as_f64(*index) <= at).last().unwrap_or(0);
    let above = (below + 1).min(last);
    sorted[below] + (sorted[above] - sorted[below]) * (at - as_f64(below))
}

/// Counts of a benchmark are far below where this loses anything.
pub(super) fn as_f64(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_lie_between_neighbours() {
        let values = [4.0, 1.0, 3.0, 2.0];
        for (share, expected) in [(0.0, 1.0), (0.5, 2.5), (1.0, 4.0), (0.9, 3.7)] {
            assert!((quantile(&values, share) - expected).abs() < 1e-9, "{share}");
        }
        assert!((median(&[7.0]) - 7.0).abs() < 1e-9);
    }
}
