//! What a body says of a key.

use drover_shared::dialect::Rejection;
use drover_shared::schema::{KeyChange, Scope, Scopes, limits};

use crate::resource::Fields;
use crate::resource::parameters::invalid;

/// Reads all that may be said of a key, and nothing else.
pub(super) fn read(mut fields: Fields, now: i64) -> Result<KeyChange, Rejection> {
    let most = i64::from(limits::KEY_LIMIT);
    let mut number = |name: &str| -> Result<_, Rejection> {
        let number = fields.whole(name, 1, most)?;
        // Bounded by a limit that fits.
        Ok(number.map(|number| number.map(|number| u32::try_from(number).unwrap_or(limits::KEY_LIMIT))))
    };
    let requests_per_minute = number("requests_per_minute")?;
    let tokens_per_minute = number("tokens_per_minute")?;
    let concurrent_jobs = number("concurrent_jobs")?;
    let queued_jobs = number("queued_jobs")?;
    let furthest = i64::from(limits::KEY_PRIORITY);
    let priority = fields.whole("priority", -furthest, furthest)?.map(Option::unwrap_or_default);
    let expires_at = fields.whole("expires_at", 1, i64::MAX / 1_000)?;
    if expires_at.flatten().is_some_and(|at| at * 1_000 <= now) {
        return Err(invalid("expires_at", "It is in the past; DELETE revokes a key."));
    }
    let change = KeyChange {
        name: fields.line("name")?,
        scopes: scopes(&mut fields)?,
        priority: priority.map(|priority| i32::try_from(priority).unwrap_or_default()),
        expires_at_ms: expires_at.map(|at| at.map(|at| at * 1_000)),
        requests_per_minute,
        tokens_per_minute,
        concurrent_jobs,
        queued_jobs,
        daily_budget_microusd: fields.dollars("daily_budget_usd", limits::KEY_BUDGET_MICROUSD)?,
        monthly_budget_microusd: fields.dollars("monthly_budget_usd", limits::KEY_BUDGET_MICROUSD)?,
    };
    if change.name.as_ref().is_some_and(|name| name.trim().is_empty()) {
        return Err(invalid("name", "It must not be empty."));
    }
    fields.done()?;
    Ok(change)
}

fn scopes(fields: &mut Fields) -> Result<Option<Scopes>, Rejection> {
    let Some(words) = fields.words("scopes")? else { return Ok(None) };
    let known = |(at, word): (usize, &String)| {
        word.parse::<Scope>()
            .map_err(|error| invalid(&format!("scopes[{at}]"), &format!("It is none: {error}.")))
    };
    let scopes: Scopes = words.iter().enumerate().map(known).collect::<Result<_, _>>()?;
    if scopes.is_empty() {
        return Err(invalid("scopes", "A key without scopes opens nothing; DELETE revokes a key."));
    }
    Ok(Some(scopes))
}
