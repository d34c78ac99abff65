//! Jobs: how they stand, what happens in them, what they come to.

use drover_shared::dialect::openai_chat::described;
use drover_shared::schema::{Event, JobId, JobState, ProjectId, SessionId};
use serde_json::json;

use super::bodies::{paged, text};
use super::chats::{AGAIN, FAILURES, request_key};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, deleted, object, page};
use crate::jobs::{Entry, JobBody};

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let job = schemas.of::<JobBody>();
    let id = schemas.of::<JobId>();
    let entry = schemas.of::<Entry>();
    let (session, project) = (schemas.of::<SessionId>(), schemas.of::<ProjectId>());
    let event = schemas.of::<Event>();
    let completion = schemas.by(described::completion);
    let sequence = json!({ "type": "integer", "minimum": 0 });
    let one = |method, route, name, summary| {
        Operation::new(Tag::Jobs, method, route, name, summary).path_is("id", &id).refuses(&[404])
    };
    let state = json!({ "type": "array", "items": { "enum": JobState::ALL.map(JobState::as_str) } });
    let tags = json!({ "type": "array", "items": { "type": "string" } });
    let seconds = json!({ "type": "integer" });
    vec![
        paged(Operation::new(Tag::Jobs, "get", "/v1/jobs", "list_jobs", "The key's own jobs."), &id)
            .query("status", &state, "Only those in one of these states; repeated, or with commas.")
            .query("model", &text(), "Only those of this model.")
            .query("session_id", &session, "Only those of this session.")
            .query("project_id", &project, "Only those of this project.")
            .query("tag", &tags, "Only those with all of these labels; repeated.")
            .query("background", &json!({ "type": "boolean" }), "Only those in the background, or the others.")
            .query("created_after", &seconds, "Only those asked for then or later, in seconds since 1970.")
            .query("created_before", &seconds, "Only those asked for before, in seconds since 1970.")
            .answers(200, "The jobs.", &page(&entry)),
        one("post", "/v1/jobs/{id}/retry", "retry_job", "Does the same once more, in the background.")
            .refuses(&[400, 409, 422, 429, 503])
            .header("idempotency-key", &request_key(), AGAIN)
            .takes(&json!({ "type": "object", "additionalProperties": false }), false, &json!({}))
            .answers(202, "The new job.", &job),
        one("delete", "/v1/jobs/{id}", "delete_job", "Forgets a job that has ended; what it has cost stays.")
            .refuses(&[409])
            .answers(200, "It is gone.", &deleted("job.deleted", &id)),
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
            .query("ticket", &text(), "A ticket, where no header can be set.")
            .refuses(&[400, 403, 426, 429])
            .answers_content(101, "A WebSocket, whose frames websocket.schema.json describes.", &json!({})),
        Operation::new(Tag::Jobs, "post", "/v1/ws/tickets", "create_socket_ticket", "What opens a WebSocket once.")
            .refuses(&[400, 403, 429])
            .takes(&json!({ "type": "object", "additionalProperties": false }), false, &json!({}))
            .answers(
                201,
                "The ticket, and until when it is good, in seconds since 1970.",
                &object(&json!({ "object": { "const": "ws.ticket" }, "ticket": text(), "expires_at": seconds })),
            ),
    ]
}
