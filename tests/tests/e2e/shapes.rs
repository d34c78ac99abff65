//! Answers that are to have a shape: the provider is told, and what comes is held against it.

use drover_tests::chat::{self, ErrorBody, Spoken, streaming};
use drover_tests::harness::Cluster;
use drover_tests::upstream::Upstream;
use serde_json::{Value, json};

const FITTING: &str = r#"say "{\"city\": \"Zürich\"}""#;
const OTHER: &str = r#"say "{\"city\": 5}""#;

#[tokio::test]
async fn an_answer_has_the_shape_asked_for_or_is_none() {
    let upstream = Upstream::start();
    let cluster = Cluster::builder().upstream(&upstream).start().await;
    let client = cluster.client();
    for (prompt, fits) in [(FITTING, true), (OTHER, false)] {
        let answer = client.post(chat::PATH, &body(prompt)).await;
        let spoken = Spoken::of(client.stream(chat::PATH, &streaming(body(prompt))).await).await;
        assert_eq!(spoken.done, fits, "{prompt}");
        if fits {
            assert_eq!(answer.json()["choices"][0]["message"]["content"], spoken.text());
            continue;
        }
        let error = ErrorBody::of(&answer.json());
        assert_eq!((answer.status.as_u16(), error.code.as_str()), (502, "invalid_output"), "{error:?}");
        assert_eq!(answer.header("x-should-retry"), Some("false"));
        assert_eq!((spoken.error, spoken.finish_reason), (Some(error), None));
    }
    for call in upstream.calls_for(FITTING) {
        let format = json!({"format": {"type": "json_schema", "schema": schema()}});
        assert_eq!(call.body["output_config"], format);
        assert_eq!(call.body["output_config"]["format"]["schema"].to_string(), schema().to_string());
    }
}

fn schema() -> Value {
    json!({"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}},
        "additionalProperties": false})
}

fn body(prompt: &str) -> Value {
    let format = json!({"name": "place", "strict": true, "schema": schema()});
    json!({
        "messages": [{"role": "user", "content": prompt}],
        "response_format": {"type": "json_schema", "json_schema": format},
    })
}
