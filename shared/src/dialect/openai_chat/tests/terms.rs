//! On what terms a job is taken.

use serde_json::{Value, json};

use super::{accepted, refused};
use crate::dialect::TermsWish;
use crate::schema::{Priority, limits};

fn body(fields: &Value) -> String {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "Hi"}]});
    let fields = fields.as_object().cloned().expect("fields");
    body.as_object_mut().expect("an object").extend(fields);
    body.to_string()
}

#[test]
fn what_is_said_of_the_job_is_read() {
    let all = json!({
        "background": true, "priority": "high", "run_at": 1_900_000_000, "deadline": "2030-03-17T18:46:40.500+01:00",
        "tags": ["nightly", "é b", "nightly"],
    });
    let expected = TermsWish {
        priority: Priority::High,
        run_at_ms: Some(1_900_000_000_000),
        deadline_ms: Some(1_900_000_000_500),
        tags: vec!["nightly".to_owned(), "é b".to_owned()],
    };
    assert_eq!(accepted(&body(&all)).terms, expected);
    let mut responses = all;
    responses["input"] = "Hi".into();
    responses["model"] = "m".into();
    assert_eq!(accepted(&responses.to_string()).terms, expected, "in the other form, too");
    let none = json!({"priority": null, "run_at": null, "deadline": null, "tags": null});
    assert_eq!(accepted(&body(&none)).terms, TermsWish::default());
    assert_eq!(accepted(&body(&json!({"deadline": 1, "priority": "low"}))).terms.deadline_ms, Some(1_000));
}

#[test]
fn what_is_wrong_with_it_is_named() {
    let many: Vec<String> = (0..=limits::TAGS).map(|number| number.to_string()).collect();
    let long = "é".repeat(limits::TAG_CHARS + 1);
    for (fields, code, param) in [
        (json!({"priority": 7}), "invalid_type", "priority"),
        (json!({"priority": "urgent"}), "invalid_value", "priority"),
        (json!({"run_at": 1_900_000_000}), "invalid_value", "run_at"),
        (json!({"run_at": true, "background": true}), "invalid_type", "run_at"),
        (json!({"run_at": "tomorrow", "background": true}), "invalid_value", "run_at"),
        (json!({"run_at": "2030-01-31T08:00:00", "background": true}), "invalid_value", "run_at"),
        (json!({"deadline": 1.5}), "invalid_value", "deadline"),
        (json!({"deadline": -1}), "invalid_value", "deadline"),
        (json!({"deadline": i64::MAX}), "invalid_value", "deadline"),
        (json!({"deadline": u64::MAX}), "invalid_value", "deadline"),
        (json!({"tags": "a"}), "invalid_type", "tags"),
        (json!({"tags": ["a", 1]}), "invalid_type", "tags[1]"),
        (json!({"tags": [" "]}), "invalid_value", "tags[0]"),
        (json!({"tags": [long]}), "invalid_value", "tags[0]"),
        (json!({"tags": ["a\nb"]}), "invalid_value", "tags[0]"),
        (json!({"tags": many}), "invalid_value", "tags"),
    ] {
        refused(&body(&fields), code, Some(param));
    }
}
