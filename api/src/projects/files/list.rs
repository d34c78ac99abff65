//! `GET /v1/projects/{id}/files`

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, RawQuery, State};
use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use drover_shared::schema::limits;
use drover_shared::workspace::{FileError, FilePath, Walk};
use schemars::JsonSchema;
use serde::Serialize;

use super::trouble::invalid_path;
use super::{EntryBody, known, with_files};
use crate::app::App;
use crate::auth::Caller;
use crate::error::Problem;
use crate::resource::parameters::{boolean, count, invalid, parameters, unknown};

/// Part of what lies in a project.
#[derive(Debug, Serialize, JsonSchema)]
#[schemars(rename = "ProjectFileList")]
pub(crate) struct List {
    object: &'static str,
    data: Vec<EntryBody>,
    has_more: bool,
    /// What `after` is for the next part.
    next: Option<String>,
}

/// Which part is asked for.
#[derive(Debug, Default)]
struct Asked {
    /// The directory; the top, if none.
    below: Option<FilePath>,
    recursive: bool,
    limit: usize,
    after: Option<FilePath>,
}

/// Names in order, a directory before what it holds.
pub(crate) async fn list(
    State(app): State<Arc<App>>,
    Path(id): Path<String>,
    RawQuery(query): RawQuery,
    Caller { owner, .. }: Caller,
) -> Result<Json<List>, Problem> {
    let project = known(&app, &owner, &id).await?;
    let asked = read(query.as_deref())?;
    let list = with_files(&app, move |homes| {
        let Some(tree) = homes.find(project)? else {
            // Nothing was ever put there.
            return if asked.below.is_some() {
                Err(FileError::NotFound.into())
            } else {
                Ok(List::of(Vec::new(), None))
            };
        };
        let directory = tree.directory(asked.below.as_ref())?;
        let mut walk = Walk::new(directory, asked.below.as_ref(), asked.recursive)?;
        if let Some(after) = &asked.after {
            walk.skip_to(after);
        }
        let entries: Vec<_> = walk.by_ref().take(asked.limit).collect();
        let last = entries.last().map(|entry| URL_SAFE_NO_PAD.encode(&entry.path));
        let next = last.filter(|_| walk.next().is_some());
        Ok(List::of(entries.iter().map(|entry| EntryBody::new(&entry.path, entry.meta)).collect(), next))
    });
    Ok(Json(list.await?))
}

impl List {
    fn of(data: Vec<EntryBody>, next: Option<String>) -> Self {
        Self { object: "list", data, has_more: next.is_some(), next }
    }
}

fn read(query: Option<&str>) -> Result<Asked, Problem> {
    let mut asked = Asked { limit: limits::FILES_LISTED_USUAL as usize, ..Asked::default() };
    for (name, value) in parameters(query)? {
        match name.as_str() {
            "path" if value.is_empty() => {}
            "path" => {
                let below = FilePath::parse(value.as_bytes());
                asked.below = Some(below.map_err(|error| invalid_path("path", error))?);
            }
            "recursive" => asked.recursive = boolean(&name, &value)?,
            "limit" => asked.limit = count(&name, &value, limits::FILES_LISTED)? as usize,
            "after" => {
                let path = URL_SAFE_NO_PAD.decode(&value).ok().and_then(|path| FilePath::parse(&path).ok());
                let why = "It must be the 'next' of an earlier part of the list.";
                asked.after = Some(path.ok_or_else(|| invalid(&name, why))?);
            }
            _ => return Err(unknown(&name).into()),
        }
    }
    if let (Some(below), Some(after)) = (&asked.below, &asked.after)
        && !after.bytes().strip_prefix(below.bytes()).is_some_and(|rest| rest.starts_with(b"/"))
    {
        return Err(
            invalid("after", "It must be the 'next' of an earlier part of the list of this path.").into()
        );
    }
    Ok(asked)
}
