//! What a request for usage asks, read from its query.

use std::fmt::Display;
use std::str::FromStr;

use drover_shared::dialect::Rejection;
use drover_shared::schema::{Dimension, JobId, Owner, ProjectId, SessionId, UsageQuery, limits};
use time::macros::format_description;
use time::{Date, UtcDateTime};

use crate::resource::parameters::{count, invalid, parameters, unknown};

/// Milliseconds of a day.
const DAY_MS: i64 = 86_400_000;
/// The time that is told unless another is asked for, in days.
const USUAL_DAYS: i64 = 30;

/// What was asked, understood.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Asked {
    pub(super) query: UsageQuery,
    /// Whether the answer is to be a table, if that was said.
    pub(super) csv: Option<bool>,
    /// Whether it is of another key than the one that asks.
    pub(super) of_another: bool,
}

/// Reads the query of `GET /v1/usage`, asked for by `owner` at `now`.
pub(super) fn read(query: Option<&str>, owner: Owner, now: i64) -> Result<Asked, Rejection> {
    let mut asked = Asked {
        query: UsageQuery {
            owner: Some(owner),
            since_ms: now - USUAL_DAYS * DAY_MS,
            // What is under way counts when it is over.
            until_ms: now + 1,
            only: Vec::new(),
            group_by: Vec::new(),
            limit: limits::USAGE_ROWS_USUAL,
        },
        csv: None,
        of_another: false,
    };
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "start" => asked.query.since_ms = moment(&name, &value, 0)?,
            "end" => asked.query.until_ms = moment(&name, &value, DAY_MS)?,
            "group_by" => asked.query.group_by = dimensions(&name, &value)?,
            "limit" => asked.query.limit = count(&name, &value, limits::USAGE_ROWS)?,
            "format" => {
                asked.csv = match value.as_str() {
                    "json" => Some(false),
                    "csv" => Some(true),
                    _ => return Err(invalid(&name, "It must be 'json' or 'csv'.")),
                }
            }
            "key_id" => {
                let named = Some(Owner(value));
                asked.of_another = asked.query.owner != named;
                asked.query.owner = named;
            }
            "model" => asked.query.only.push((Dimension::Model, value)),
            "provider" => asked.query.only.push((Dimension::Provider, value)),
            "job_id" => asked.query.only.push((Dimension::Job, id::<JobId>(&name, &value)?)),
            "session_id" => asked.query.only.push((Dimension::Session, id::<SessionId>(&name, &value)?)),
            "project_id" => asked.query.only.push((Dimension::Project, id::<ProjectId>(&name, &value)?)),
            _ => return Err(unknown(&name)),
        }
    }
    if asked.query.since_ms >= asked.query.until_ms {
        return Err(invalid("end", "It must be later than 'start'."));
    }
    Ok(asked)
}

/// An identifier in the form in which it is stored. What is none would find nothing, as if nothing had been used.
pub(super) fn id<T: FromStr + Display>(name: &str, value: &str) -> Result<String, Rejection> {
    let id: T = value.parse().map_err(|_| invalid(name, "It is no identifier of that kind."))?;
    Ok(id.to_string())
}

/// Seconds since the Unix epoch, or a day in UTC: its beginning, and so much later for an end that includes it.
fn moment(name: &str, value: &str, later_ms: i64) -> Result<i64, Rejection> {
    if let Ok(seconds) = value.parse::<i64>()
        && UtcDateTime::from_unix_timestamp(seconds).is_ok()
    {
        return Ok(seconds * 1_000);
    }
    let day = Date::parse(value, format_description!("[year]-[month]-[day]"));
    let day =
        day.map_err(|_| invalid(name, "It must be seconds since 1970, or a day such as 2026-11-23."))?;
    Ok(day.midnight().assume_utc().unix_timestamp() * 1_000 + later_ms)
}

fn dimensions(name: &str, value: &str) -> Result<Vec<Dimension>, Rejection> {
    let mut all = Vec::new();
    for word in value.split(',').filter(|word| !word.is_empty()) {
        let Some(dimension) = Dimension::parse(word) else {
            let known = Dimension::ALL.map(Dimension::name).join(", ");
            return Err(invalid(name, &format!("It is a list of: {known}.")));
        };
        if !all.contains(&dimension) {
            all.push(dimension);
        }
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 1_700_000_000_250;

    fn asked(query: &str) -> Result<Asked, Rejection> {
        read(Some(query), Owner::anonymous(), NOW)
    }

    #[test]
    fn a_query_is_read() {
        let digits = "0192aaaabbbb7ccc8dddeeeeffff000F";
        let all = asked(&format!(
            "start=2024-02-29&end=2024-03-01&group_by=day,model,day&limit=7&format=csv&model=a%2Fb&provider=p\
             &job_id=job_{digits}&session_id=session_{digits}&project_id=project_{digits}",
        ))
        .expect("a query");
        assert_eq!(all.query.since_ms, 1_709_164_800_000);
        assert_eq!(all.query.until_ms, 1_709_337_600_000, "the end's day is part of it");
        assert_eq!(
            (all.query.group_by.as_slice(), all.query.limit),
            (&[Dimension::Day, Dimension::Model][..], 7)
        );
        assert_eq!(all.query.only[0], (Dimension::Model, "a/b".to_owned()));
        let job = format!("job_{}", digits.to_lowercase());
        assert!(all.query.only.contains(&(Dimension::Job, job)), "{all:?}");
        assert!(
            all.csv == Some(true) && all.query.only.len() == 5 && all.query.owner == Some(Owner::anonymous())
        );
        let usual = asked("").expect("a query").query;
        assert_eq!((usual.since_ms, usual.until_ms), (NOW - 30 * DAY_MS, NOW + 1));
        assert_eq!(asked("start=1699999999").expect("a query").query.since_ms, 1_699_999_999_000);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, param) in [
            ("start=yesterday", "start"),
            ("start=2024-02-30", "start"),
            ("end=99999999999999999", "end"),
            ("start=10&end=10", "end"),
            ("group_by=colour", "group_by"),
            ("limit=0", "limit"),
            ("limit=10001", "limit"),
            ("format=xml", "format"),
            ("owner=key_1", "owner"),
            ("job_id=", "job_id"),
            ("job_id=session_0192aaaabbbb7ccc8dddeeeeffff0001", "job_id"),
            ("session_id=5", "session_id"),
            ("project_id=project_0192aaaabbbb7ccc8dddeeeeffff000", "project_id"),
            ("model=a&model=b", "model"),
        ] {
            let rejection = asked(query).expect_err(query);
            assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some(param)), "{query}");
        }
    }
}
