//! Lists in pages: by number (`page`, `per_page`), as earlier gateways have it, or from an item on (`after`, `limit`,
//! `order`), as `OpenAI`'s API has it.

use std::str::FromStr;

use drover_shared::dialect::Rejection;
use drover_shared::schema::{Listed, Page, limits};
use serde_json::{Value, json};

use super::parameters::{count, invalid, parameters, unknown};

/// What a query asks of a list.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Asked<Id> {
    pub(crate) page: Page<Id>,
    /// Which page that is; counts from 1.
    number: u32,
    /// What else was asked, by the names that the list knows.
    pub(crate) besides: Vec<(String, String)>,
}

/// Reads a query. Besides the page it may hold the parameters `besides`.
pub(crate) fn read<Id: FromStr>(
    query: Option<&str>,
    newest_first: bool,
    besides: &[&str],
) -> Result<Asked<Id>, Rejection> {
    read_all(parameters(query)?, newest_first, besides, &[])
}

/// Reads parameters, wherever they stood; those alone that are repeatable come several times.
pub(crate) fn read_all<Id: FromStr>(
    parameters: Vec<(String, String)>,
    newest_first: bool,
    besides: &[&str],
    repeatable: &[&str],
) -> Result<Asked<Id>, Rejection> {
    let mut asked = Asked {
        page: Page { newest_first, after: None, skip: 0, limit: limits::PAGE_USUAL },
        number: 1,
        besides: Vec::new(),
    };
    let mut sizes = Vec::new();
    for (name, value) in parameters {
        match name.as_str() {
            "page" => asked.number = count(&name, &value, u32::MAX)?,
            "per_page" | "limit" => sizes.push(count(&name, &value, limits::PAGE)?),
            "after" => {
                let id = value.parse().map_err(|_| invalid(&name, "It is no identifier of an item."))?;
                asked.page.after = Some(id);
            }
            "order" => {
                asked.page.newest_first = match value.as_str() {
                    "asc" => false,
                    "desc" => true,
                    _ => return Err(invalid(&name, "It must be 'asc' or 'desc'.")),
                }
            }
            known if besides.contains(&known) || repeatable.contains(&known) => {
                asked.besides.push((name, value));
            }
            _ => return Err(unknown(&name)),
        }
    }
    match sizes[..] {
        [] => {}
        [size] => asked.page.limit = size,
        _ => return Err(invalid("per_page", "It is 'limit' by another name; send one of the two.")),
    }
    if asked.page.after.is_some() && asked.number > 1 {
        return Err(invalid("page", "It counts from the beginning; send it or 'after'."));
    }
    asked.page.skip = u64::from(asked.number - 1) * u64::from(asked.page.limit);
    Ok(asked)
}

/// The answer: the items, which have an `id` each, and where in the list they stand.
pub(crate) fn answer<T, Id>(asked: &Asked<Id>, listed: &Listed<T>, tell: impl Fn(&T) -> Value) -> Value {
    let data: Vec<Value> = listed.items.iter().map(tell).collect();
    let per_page = u64::from(asked.page.limit);
    let id = |item: Option<&Value>| item.map_or(Value::Null, |item| item["id"].clone());
    json!({
        "object": "list",
        "first_id": id(data.first()),
        "last_id": id(data.last()),
        "data": data,
        "has_more": listed.has_more,
        "pagination": {
            "page": asked.number,
            "per_page": per_page,
            "total_items": listed.total,
            "total_pages": listed.total.div_ceil(per_page),
            "has_next": listed.has_more,
            "has_prev": asked.number > 1 || asked.page.after.is_some(),
        },
    })
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::JobId;

    use super::*;

    const ID: &str = "job_0192aaaabbbb7ccc8dddeeeeffff0001";

    fn asked(query: &str) -> Result<Asked<JobId>, Rejection> {
        read(Some(query), true, &["project_id"])
    }

    #[test]
    fn a_page_is_read() {
        let usual = asked("").expect("a page");
        assert_eq!(usual.page, Page { newest_first: true, after: None, skip: 0, limit: 20 });
        let third = asked("page=3&per_page=7&project_id=p").expect("a page");
        assert_eq!((third.page.skip, third.page.limit, third.number), (14, 7, 3));
        assert_eq!(third.besides, [("project_id".to_owned(), "p".to_owned())]);
        let after = asked(&format!("after={ID}&limit=100&order=asc")).expect("a page");
        let id = ID.parse().ok();
        assert_eq!(after.page, Page { newest_first: false, after: id, skip: 0, limit: 100 });
        assert!(asked("page=4294967295&limit=100").expect("a page").page.skip > 1 << 32);
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (query, param) in [
            ("page=0", "page"),
            ("per_page=101", "per_page"),
            ("limit=x", "limit"),
            ("limit=1&per_page=1", "per_page"),
            ("after=7", "after"),
            (&format!("after={ID}&page=2"), "page"),
            ("order=newest", "order"),
            ("before=x", "before"),
            ("page=1&page=1", "page"),
        ] {
            let rejection = asked(query).expect_err(query);
            assert_eq!((rejection.status, rejection.param.as_deref()), (400, Some(param)), "{query}");
        }
    }

    #[test]
    fn an_answer_says_where_it_stands() {
        let listed = Listed { items: vec!["b", "a"], total: 5, has_more: true };
        let answer = answer(&asked("page=2&per_page=2").expect("a page"), &listed, |id| json!({"id": id}));
        let expected = json!({
            "object": "list", "data": [{"id": "b"}, {"id": "a"}], "first_id": "b", "last_id": "a", "has_more": true,
            "pagination": {
                "page": 2, "per_page": 2, "total_items": 5, "total_pages": 3, "has_next": true, "has_prev": true,
            },
        });
        assert_eq!(answer, expected);
    }
}
