//! The fields that say on what terms a job is taken. They are Drover's own.

use time::OffsetDateTime;
use time::format_description::well_known::Rfc3339;

use super::reader::Node;
use crate::dialect::{Rejection, TermsWish};
use crate::schema::{Delivery, Priority, limits};

/// What is said of the job besides what it is to do.
pub(super) fn read(body: &Node, delivery: Delivery) -> Result<TermsWish, Rejection> {
    let run_at = body.get("run_at");
    if let (Some(field), true) = (&run_at, delivery != Delivery::Background) {
        return Err(
            field.invalid_value("Nobody waits so long for an answer; send it with 'background': true.")
        );
    }
    Ok(TermsWish {
        priority: body.get("priority").map(|field| priority(&field)).transpose()?.unwrap_or_default(),
        run_at_ms: run_at.map(|field| moment(&field)).transpose()?,
        deadline_ms: body.get("deadline").map(|field| moment(&field)).transpose()?,
        tags: body.get("tags").map(|field| tags(&field)).transpose()?.unwrap_or_default(),
    })
}

fn priority(field: &Node) -> Result<Priority, Rejection> {
    Priority::parse(field.text()?).ok_or_else(|| {
        let names = Priority::ALL.map(|known| format!("'{}'", known.as_str())).join(", ");
        field.invalid_value(format!("It must be one of {names}."))
    })
}

/// A moment in milliseconds since the Unix epoch: whole seconds since then, or as RFC 3339 writes it.
fn moment(field: &Node) -> Result<i64, Rejection> {
    const WHAT: &str = "It must be whole seconds since the Unix epoch, or a time as RFC 3339 writes it, with its offset: \
                        2030-01-31T08:00:00Z.";
    let value = field.value();
    if value.is_number() {
        let seconds = value.as_i64().filter(|seconds| *seconds >= 0);
        return seconds
            .and_then(|seconds| seconds.checked_mul(1_000))
            .ok_or_else(|| field.invalid_value(WHAT));
    }
    let time = OffsetDateTime::parse(field.text()?, &Rfc3339).map_err(|_| field.invalid_value(WHAT))?;
    i64::try_from(time.unix_timestamp_nanos().div_euclid(1_000_000)).map_err(|_| field.invalid_value(WHAT))
}

fn tags(field: &Node) -> Result<Vec<String>, Rejection> {
    let items = field.items()?;
    if items.len() > limits::TAGS {
        return Err(field.invalid_value(format!("It holds more than {} labels.", limits::TAGS)));
    }
    let mut tags: Vec<String> = Vec::new();
    for item in items {
        let tag = item.text()?;
        if tag.trim().is_empty() || tag.chars().count() > limits::TAG_CHARS {
            return Err(item.invalid_value(format!("A label has 1 to {} characters.", limits::TAG_CHARS)));
        }
        if tag.chars().any(char::is_control) {
            return Err(item.invalid_value("It must not hold control characters."));
        }
        if !tags.iter().any(|known| known == tag) {
            tags.push(tag.to_owned());
        }
    }
    Ok(tags)
}
