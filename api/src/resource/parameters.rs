//! The parameters of a query, each of which is known or refused.

use drover_shared::dialect::Rejection;

/// Parameters by name, each once.
pub(crate) fn parameters(query: Option<&str>) -> Result<Vec<(String, String)>, Rejection> {
    parameters_with(query, &[])
}

/// The same, but these may stand there several times.
pub(crate) fn parameters_with(
    query: Option<&str>,
    repeatable: &[&str],
) -> Result<Vec<(String, String)>, Rejection> {
    let mut all: Vec<(String, String)> = Vec::new();
    for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
        if all.iter().any(|(known, _)| *known == name) && !repeatable.contains(&&*name) {
            return Err(invalid(&name, "It stands here twice."));
        }
        all.push((name.into_owned(), value.into_owned()));
    }
    Ok(all)
}

/// 400: the value of a parameter is not what it must be.
pub(crate) fn invalid(name: &str, why: &str) -> Rejection {
    Rejection::invalid_value(name, why)
}

/// 400: there is no such parameter.
pub(crate) fn unknown(name: &str) -> Rejection {
    Rejection::unknown_parameter(name)
}

/// A number of a parameter from 1 on.
pub(crate) fn count(name: &str, value: &str, most: u32) -> Result<u32, Rejection> {
    let count = value.parse().ok().filter(|count| (1..=most).contains(count));
    count.ok_or_else(|| invalid(name, &format!("It must be an integer from 1 to {most}.")))
}

/// A parameter that is yes or no.
pub(crate) fn boolean(name: &str, value: &str) -> Result<bool, Rejection> {
    match value {
        "true" | "1" => Ok(true),
        "false" | "0" => Ok(false),
        _ => Err(invalid(name, "It must be 'true' or 'false'.")),
    }
}
