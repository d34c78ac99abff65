//! Chat completions, stored ones, and the files that they show.

use drover_shared::dialect::openai_chat::described;
use drover_shared::schema::{FileId, limits};
use serde_json::{Value, json};

use super::bodies::{listed, text};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, deleted, list};
use crate::jobs::JobBody;

/// How a job's failure is told where its answer was awaited.
pub(super) const FAILURES: &[u16] = &[402, 404, 409, 413, 422, 502, 504];

/// The key of a request, by which it is found again.
pub(super) fn request_key() -> Value {
    json!({ "type": "string", "pattern": format!("^[!-~]{{1,{}}}$", limits::REQUEST_KEY_CHARS) })
}

/// What that key does.
pub(super) const AGAIN: &str = "The client's own name for the request. The same request under the same key is answered by \
                                the job that it has made already, with the header `idempotent-replayed: true`; another \
                                request under it is refused (422).";

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let completion = schemas.by(described::completion);
    let file = schemas.by(described::file);
    let id = json!({ "type": "string", "pattern": "^chatcmpl-[0-9a-f]{32}$" });
    let file_id = schemas.of::<FileId>();
    let chat = |method, route, name, summary| Operation::new(Tag::Chats, method, route, name, summary);
    let files = |method, route, name, summary| Operation::new(Tag::Files, method, route, name, summary);
    let one = |method, name, summary| {
        chat(method, "/v1/chat/completions/{id}", name, summary).path_is("id", &id).refuses(&[404])
    };
    vec![
        generate(schemas, &completion),
        listed(
            chat("get", "/v1/chat/completions", "list_completions", "Stored completions."),
            &id,
            limits::LISTED,
            limits::LISTED_USUALLY,
        )
        .query("model", &text(), "Only those of this model.")
        .query("metadata[name]", &text(), "Only those with this label; any name.")
        .answers(200, "The stored completions.", &list(&completion)),
        one("get", "show_completion", "A stored completion.").answers(200, "It.", &completion),
        one("post", "label_completion", "Gives a stored completion other labels.")
            .takes(&labels(), true, &json!({ "metadata": { "colour": "green" } }))
            .answers(200, "It, with its labels.", &completion),
        one("delete", "delete_completion", "Deletes a stored completion.").answers(
            200,
            "It is gone.",
            &deleted("chat.completion.deleted", &id),
        ),
        listed(
            chat("get", "/v1/chat/completions/{id}/messages", "list_completion_messages", "What it answers.")
                .path_is("id", &id),
            &text(),
            limits::LISTED,
            limits::LISTED_USUALLY,
        )
        .refuses(&[404])
        .answers(200, "The messages.", &list(&json!({ "type": "object" }))),
        upload(&file),
        listed(
            files("get", "/v1/files", "list_files", "Uploaded files."),
            &file_id,
            limits::UPLOADS_LISTED,
            limits::UPLOADS_LISTED,
        )
        .query("purpose", &text(), "Only those for this.")
        .answers(200, "The files.", &list(&file)),
        files("get", "/v1/files/{id}", "show_file", "An uploaded file.")
            .path_is("id", &file_id)
            .refuses(&[404])
            .answers(200, "It.", &file),
        files("delete", "/v1/files/{id}", "delete_file", "Deletes an uploaded file.")
            .path_is("id", &file_id)
            .refuses(&[404])
            .answers(200, "It is gone.", &deleted("file", &file_id)),
        files("get", "/v1/files/{id}/content", "read_file", "What an uploaded file holds.")
            .path_is("id", &file_id)
            .refuses(&[404])
            .answers_content(200, "Its bytes.", &json!({ "application/octet-stream": {} })),
    ]
}

fn generate(schemas: &mut Schemas, completion: &Value) -> Operation {
    let chunk = schemas.by(described::chunk);
    let example = json!({ "messages": [{ "role": "user", "content": "Hello!" }] });
    Operation::new(
        Tag::Chats,
        "post",
        "/v1/chat/completions",
        "create_completion",
        "Asks a model, or an agent.",
    )
    .header("prefer", &text(), "`respond-async`: the same as `background: true`.")
    .header("x-drover-session-id", &text(), "The same as `session_id`.")
    .header("idempotency-key", &request_key(), AGAIN)
    .takes(&described::request(), true, &example)
    .refuses(FAILURES)
    .answers_content(
        200,
        "The answer; with `stream: true` as server-sent events, each a chunk, the last `[DONE]`.",
        &json!({
            "application/json": { "schema": completion },
            "text/event-stream": { "schema": { "type": "string" }, "x-event-schema": chunk },
        }),
    )
    .answers(202, "The job, which goes on in the background.", &schemas.of::<JobBody>())
}

fn labels() -> Value {
    json!({
        "type": "object",
        "properties": { "metadata": {
            "type": ["object", "null"],
            "maxProperties": limits::LABELS,
            "additionalProperties": { "type": "string", "maxLength": limits::LABEL_CHARS },
            "propertyNames": { "maxLength": limits::LABEL_NAME_CHARS },
        }},
        "required": ["metadata"],
        "additionalProperties": false,
    })
}

fn upload(file: &Value) -> Operation {
    let form = json!({
        "type": "object",
        "properties": {
            "file": { "contentMediaType": "application/octet-stream" },
            "purpose": { "enum": described::purposes() },
            "expires_after[anchor]": { "const": "created_at" },
            "expires_after[seconds]": { "type": "integer" },
        },
        "required": ["file", "purpose"],
        "additionalProperties": false,
    });
    Operation::new(Tag::Files, "post", "/v1/files", "upload_file", "Uploads a file, to show it in chats.")
        .takes_content(&json!({ "multipart/form-data": { "schema": form } }), true)
        .answers(200, "The file.", file)
}
