//! On what terms a job is taken: what its client says of it, held against the present.

use drover_shared::dialect::{Rejection, TermsWish};
use drover_shared::schema::{Delivery, Terms, limits};
use drover_shared::store::{Millis, millis};

/// The terms, and when the job expires.
pub(crate) fn settle(wish: TermsWish, delivery: Delivery, now: Millis) -> Result<(Terms, Millis), Rejection> {
    let TermsWish { priority, run_at_ms, deadline_ms, tags } = wish;
    if run_at_ms.is_some_and(|run_at| run_at > now.saturating_add(millis(limits::RUN_AHEAD))) {
        return Err(too_far("run_at"));
    }
    // Its wait begins when it might run.
    let from = run_at_ms.unwrap_or(now).max(now);
    let deadline = match deadline_ms {
        None => from.saturating_add(millis(limits::QUEUE_DEADLINE)),
        Some(deadline) if deadline <= from => {
            return Err(Rejection::invalid_value(
                "deadline",
                "It must be later than now, and than 'run_at'.",
            ));
        }
        Some(deadline) if deadline > from.saturating_add(millis(limits::WAIT_LONGEST)) => {
            return Err(too_far("deadline"));
        }
        Some(deadline) => deadline,
    };
    Ok((Terms { delivery, priority, run_at_ms, tags, retry_of: None }, deadline))
}

fn too_far(name: &str) -> Rejection {
    let days = limits::RUN_AHEAD.as_secs() / 86_400;
    Rejection::invalid_value(name, &format!("It is more than {days} days ahead. Is it in seconds?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Millis = 1_900_000_000_500;
    const HOUR: Millis = 3_600_000;

    fn settled(run_at_ms: Option<Millis>, deadline_ms: Option<Millis>) -> Result<Millis, String> {
        let wish = TermsWish { run_at_ms, deadline_ms, ..TermsWish::default() };
        let settled = settle(wish, Delivery::Background, NOW);
        settled.map(|(_, deadline)| deadline - NOW).map_err(|it| it.param.unwrap_or_default())
    }

    #[test]
    fn a_deadline_counts_from_when_the_job_might_run() {
        let month = millis(limits::RUN_AHEAD);
        for (run_at, deadline, expected) in [
            (None, None, Ok(HOUR)),
            (Some(5_000), None, Ok(5_000 + HOUR)),
            (Some(-5_000), None, Ok(HOUR)),
            (None, Some(1), Ok(1)),
            (Some(5_000), Some(5_001), Ok(5_001)),
            (Some(month), Some(2 * month), Ok(2 * month)),
            (Some(month + 1), None, Err("run_at")),
            (None, Some(0), Err("deadline")),
            (Some(5_000), Some(5_000), Err("deadline")),
            (None, Some(month + 1), Err("deadline")),
        ] {
            let at = |after: Option<Millis>| after.map(|after| NOW + after);
            let settled = settled(at(run_at), at(deadline));
            assert_eq!(settled.as_ref().map_err(String::as_str), expected.as_ref().map_err(|it| *it));
        }
        assert_eq!(settled(Some(i64::MAX - NOW), None), Err("run_at".to_owned()));
    }
}
