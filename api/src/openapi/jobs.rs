//! Jobs: how they stand, what happens in them, what they come to.

use drover_shared::dialect::openai_chat::described;
use drover_shared::schema::{Event, JobId};
use serde_json::json;

use super::bodies::text;
use super::chats::FAILURES;
use super::operation::{Operation, Tag};
use super::schemas::Schemas;
use crate::jobs::JobBody;

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let job = schemas.of::<JobBody>();
    let id = schemas.of::<JobId>();
    let event = schemas.of::<Event>();
    let completion = schemas.by(described::completion);
    let sequence = json!({ "type": "integer", "minimum": 0 });
    let one = |method, route, name, summary| {
        Operation::new(Tag::Jobs, method, route, name, summary).path_is("id", &id).refuses(&[404])
    };
    vec![
        one("get", "/v1/jobs/{id}", "show_job", "What has become of a job.").answers(200, "The job.", &job),
        one("get", "/v1/jobs/{id}/events", "stream_job", "What happens in a job, live or from the past.")
            .query("starting_after", &sequence, "Only events after this sequence number.")
            .header("last-event-id", &text(), "The same, as browsers send it when they come back; it wins.")
            .answers_content(
                200,
                "Server-sent events: `id` is the sequence number, `event` the type, `data` the event with `seq` and \
                 `attempt`.",
                &json!({ "text/event-stream": { "schema": { "type": "string" }, "x-event-schema": event } }),
            ),
        one("get", "/v1/jobs/{id}/result", "show_job_result", "The answer that a job has come to.")
            .refuses(FAILURES)
            .answers(200, "As the request that made the job would have been answered.", &completion),
        one("post", "/v1/jobs/{id}/cancel", "cancel_job", "Calls a job off.").answers(
            200,
            "The job as it is then: a running one ends as soon as its worker has stopped it.",
            &job,
        ),
        Operation::new(Tag::Jobs, "get", "/v1/ws", "open_socket", "Jobs over a WebSocket: one connection, many jobs.")
            .refuses(&[400, 403, 426, 429])
            .answers_content(101, "A WebSocket, whose frames websocket.schema.json describes.", &json!({})),
    ]
}
