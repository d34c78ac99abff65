//! Projects: workspaces of agents, and the files in them.

use drover_shared::schema::{ProjectId, limits};
use serde_json::{Value, json};

use super::bodies::{count, paged, project, project_change, text, yes_or_no};
use super::operation::{Operation, Tag};
use super::schemas::{Schemas, deleted, object, page, plain_list};
use crate::projects::files::{EntryBody, List};

/// What may be in the way of a file.
const IN_THE_WAY: &[u16] = &[403, 404, 409];

pub(super) fn operations(schemas: &mut Schemas) -> Vec<Operation> {
    let project = project(schemas);
    let id = schemas.of::<ProjectId>();
    let plain = |method, route, name, summary| Operation::new(Tag::Projects, method, route, name, summary);
    let one =
        |method, route, name, summary| plain(method, route, name, summary).path_is("id", &id).refuses(&[404]);
    let change = |method, name| {
        one(method, "/v1/projects/{id}", name, "Changes a project; what is absent stays.")
            .takes(&project_change(false), false, &json!({ "description": "The site" }))
            .answers(200, "The project.", &project)
    };
    let mut all = vec![
        paged(plain("get", "/v1/projects", "list_projects", "Projects."), &id).answers(
            200,
            "The projects.",
            &page(&project),
        ),
        plain("post", "/v1/projects", "create_project", "Makes a project.")
            .takes(&project_change(true), true, &json!({ "name": "site" }))
            .answers(200, "The project.", &project),
        one("get", "/v1/projects/{id}", "show_project", "A project.").answers(200, "The project.", &project),
        change("patch", "change_project"),
        change("post", "change_project_by_post"),
        one("delete", "/v1/projects/{id}", "delete_project", "Deletes a project and its files.")
            .refuses(&[409])
            .answers(200, "It is gone.", &deleted("project.deleted", &id)),
        one("get", "/v1/projects/{id}/archive", "archive_project", "All files of a project as a tar.gz.")
            .refuses(&[409])
            .answers_content(200, "The archive.", &json!({ "application/gzip": {} })),
    ];
    all.extend(files(schemas, &id));
    all
}

fn files(schemas: &mut Schemas, id: &Value) -> Vec<Operation> {
    let file = schemas.of::<EntryBody>();
    let of_project = |method, route, name, summary| {
        Operation::new(Tag::Projects, method, route, name, summary).path_is("id", id).refuses(IN_THE_WAY)
    };
    let of_file = |method, name, summary| {
        of_project(method, "/v1/projects/{id}/files/{*path}", name, summary)
            .path_is("path", &json!({ "type": "string", "minLength": 1, "description": "May hold slashes." }))
    };
    let form = json!({
        "type": "object",
        "properties": { "file": {
            "type": "array",
            "items": { "contentMediaType": "application/octet-stream" },
        }},
        "required": ["file"],
    });
    let bytes = json!({ "application/octet-stream": {} });
    vec![
        of_project("get", "/v1/projects/{id}/files", "list_project_files", "What lies in a project.")
            .query("path", &text(), "The directory; the top, if none.")
            .query("recursive", &yes_or_no(), "Whether all that lies below it is told.")
            .query("limit", &count(limits::FILES_LISTED, limits::FILES_LISTED_USUAL), "So many at most.")
            .query("after", &text(), "The `next` of an earlier part.")
            .answers(200, "Names in order, a directory before what it holds.", &schemas.of::<List>()),
        of_project("post", "/v1/projects/{id}/files", "upload_project_files", "Uploads files as a form.")
            .query("path", &text(), "The directory below which they are put.")
            .takes_content(&json!({ "multipart/form-data": { "schema": form } }), true)
            .refuses(&[415, 507])
            .answers(200, "The files.", &plain_list(&file)),
        of_file("get", "read_project_file", "What a file of a project holds.")
            .header("range", &text(), "One range of bytes.")
            .refuses(&[416])
            .answers_content(200, "Its bytes; their kind is guessed from the name.", &json!({ "*/*": {} }))
            .answers_content(206, "A part of it.", &json!({ "*/*": {} })),
        of_file("put", "write_project_file", "Puts a file into a project.")
            .takes_content(&bytes, false)
            .refuses(&[507])
            .answers(200, "The file, which replaces another.", &file)
            .answers(201, "The file, which is new.", &file),
        of_file("delete", "delete_project_file", "Deletes a file, or an empty directory.")
            .query("recursive", &yes_or_no(), "Also a directory with all that it holds.")
            .answers(
                200,
                "It is gone.",
                &object(&json!({
                    "object": { "const": "project.file.deleted" },
                    "path": text(),
                    "deleted": { "const": true },
                })),
            ),
    ]
}
