//! Fields of lines that people read: `name=value`, the message first and bare.

use std::fmt::{self, Write as _};

use tracing::field::Field;
use tracing_subscriber::field::MakeExt;
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{Writer, debug_fn};

use super::escape::Visible;

/// Without colours: a file may be written from the same fields.
pub(super) fn fields() -> impl for<'writer> FormatFields<'writer> + Send + Sync + 'static {
    debug_fn(field).delimited(" ")
}

fn field(writer: &mut Writer<'_>, field: &Field, value: &dyn fmt::Debug) -> fmt::Result {
    let mut visible = Visible(writer);
    match field.name() {
        "message" => write!(visible, "{value:?}"),
        name => write!(visible, "{name}={value:?}"),
    }
}
