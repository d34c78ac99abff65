//! A request for a list of jobs: the parameters that `GET /v1/jobs` has in its query, as JSON.

use drover_shared::dialect::Rejection;
use drover_shared::schema::limits;
use serde::de::DeserializeOwned;
use serde_json::value::RawValue;

use super::request::wrong;
use crate::jobs::Listing;

/// Every parameter.
pub(super) const NAMES: &[&str] = &[
    "status",
    "tag",
    "model",
    "session_id",
    "project_id",
    "background",
    "created_after",
    "created_before",
    "after",
    "limit",
    "order",
    "page",
    "per_page",
];

/// Reads the parameters, each of which comes with its name.
pub(super) fn read<'a>(
    given: impl Iterator<Item = (&'static str, &'a RawValue)>,
) -> Result<Listing, Rejection> {
    let mut parameters = Vec::new();
    for (name, value) in given.filter(|(name, _)| NAMES.contains(name)) {
        let values = values(name, value.get())?;
        parameters.extend(values.into_iter().map(|value| (name.to_owned(), value)));
    }
    Listing::read(parameters)
}

/// The values as a query has them. A type is not taken for another: `"5"` is no number.
fn values(name: &str, json: &str) -> Result<Vec<String>, Rejection> {
    if json.len() > limits::SOCKET_PARAMETER_BYTES {
        let why = format!("It is longer than {} bytes.", limits::SOCKET_PARAMETER_BYTES);
        return Err(Rejection::invalid_value(name, &why));
    }
    match name {
        "status" | "tag" if json.starts_with('[') => parse(name, json, "a string or a list of strings"),
        "status" | "tag" => parse(name, json, "a string or a list of strings").map(|text| vec![text]),
        "background" => parse(name, json, "a boolean").map(|yes: bool| vec![yes.to_string()]),
        "created_after" | "created_before" | "limit" | "page" | "per_page" => {
            parse(name, json, "an integer").map(|number: i64| vec![number.to_string()])
        }
        _ => parse(name, json, "a string").map(|text| vec![text]),
    }
}

fn parse<T: DeserializeOwned>(name: &str, json: &str, expected: &str) -> Result<T, Rejection> {
    serde_json::from_str(json).map_err(|_| wrong(name, expected))
}
