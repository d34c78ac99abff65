//! Lines that programs read: one flat JSON object each. What the spans say stands beside what the event says, which
//! wins, so that `select(.job == "…")` finds every line of a job.

use std::fmt;

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Subscriber};
use tracing_subscriber::fmt::format::{FormatEvent, JsonFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, UtcTime};
use tracing_subscriber::fmt::{FmtContext, FormattedFields};
use tracing_subscriber::registry::{LookupSpan, Scope};

use super::WORKER;
use super::escape::is_hidden;

/// What the line itself says; no field may say otherwise.
const RESERVED: [&str; 4] = ["timestamp", "level", "target", "message"];

pub(super) struct Json;

impl<S> FormatEvent<S, JsonFields> for Json
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    fn format_event(
        &self,
        context: &FmtContext<'_, S, JsonFields>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut timestamp = String::new();
        UtcTime::rfc_3339().format_time(&mut Writer::new(&mut timestamp))?;
        let mut fields = Fields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let mut line = Map::new();
        line.insert("timestamp".to_owned(), timestamp.into());
        line.insert("level".to_owned(), metadata.level().as_str().into());
        if let Some(message) = fields.0.shift_remove("message") {
            line.insert("message".to_owned(), message);
        }
        line.insert("target".to_owned(), metadata.target().into());
        if let Some(worker) = WORKER.get() {
            line.insert("worker".to_owned(), worker.as_str().into());
        }
        for span in context.event_scope().into_iter().flat_map(Scope::from_root) {
            if let Some(said) = span.extensions().get::<FormattedFields<JsonFields>>() {
                add(&mut line, serde_json::from_str(said).unwrap_or_default());
            }
        }
        add(&mut line, fields.0);
        write(&mut writer, &Value::Object(line).to_string())
    }
}

fn add(line: &mut Map<String, Value>, fields: Map<String, Value>) {
    line.extend(fields.into_iter().filter(|(name, _)| !RESERVED.contains(&name.as_str())));
}

/// JSON escapes what breaks lines; the rest that is hidden stands inside of strings only, where it may be escaped, too.
fn write(writer: &mut Writer<'_>, json: &str) -> fmt::Result {
    let mut rest = json;
    while let Some(at) = rest.find(is_hidden) {
        writer.write_str(&rest[..at])?;
        let mut after = rest[at..].chars();
        if let Some(hidden) = after.next() {
            write!(writer, "\\u{:04x}", u32::from(hidden))?;
        }
        rest = after.as_str();
    }
    writeln!(writer, "{rest}")
}

#[derive(Default)]
struct Fields(Map<String, Value>);

impl Fields {
    fn set(&mut self, field: &Field, value: impl Into<Value>) {
        self.0.insert(field.name().to_owned(), value.into());
    }
}

impl Visit for Fields {
    fn record_f64(&mut self, field: &Field, value: f64) {
        self.set(field, value);
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.set(field, value);
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.set(field, value);
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.set(field, value);
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.set(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.set(field, format!("{value:?}"));
    }
}
