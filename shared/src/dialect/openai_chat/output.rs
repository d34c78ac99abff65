//! The shape of the answer: `response_format`.

use super::admission::{Ignored, admit};
use super::parameters::Scope;
use super::reader::Node;
use super::tools;
use crate::dialect::Rejection;
use crate::dialect::shape::Shape;
use crate::schema::OutputFormat;

/// Reads it; plain text is no shape.
pub(super) fn read(body: &Node, ignored: &mut Ignored) -> Result<Option<OutputFormat>, Rejection> {
    let Some(field) = body.get("response_format") else { return Ok(None) };
    admit(&field, Scope::ResponseFormat, ignored)?;
    let kind = field.required("type")?;
    match kind.text()? {
        "text" => Ok(None),
        "json_object" => Ok(Some(OutputFormat::Object)),
        "json_schema" => schema(&field.required("json_schema")?, ignored).map(Some),
        _ => Err(kind.invalid_value("It must be 'text', 'json_object' or 'json_schema'.")),
    }
}

fn schema(field: &Node, ignored: &mut Ignored) -> Result<OutputFormat, Rejection> {
    admit(field, Scope::JsonSchema, ignored)?;
    tools::name(&field.required("name")?)?;
    let schema = field.required("schema")?;
    let fields = schema.value().as_object().cloned().ok_or_else(|| schema.invalid_type("an object"))?;
    let strict = field.get("strict").map(|strict| strict.boolean()).transpose()?.unwrap_or(false);
    let format = OutputFormat::Schema { schema: fields, strict };
    // What cannot be checked later is refused now.
    match Shape::of(Some(&format)) {
        Ok(_) => Ok(format),
        Err(why) => Err(schema.invalid_value(format!("With `strict`, {why}."))),
    }
}
