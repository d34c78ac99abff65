//! Usage as a table of comma-separated values (RFC 4180).

use drover_shared::schema::{Dimension, UsageRow};

use super::{columns, dollars};

/// The table, with a line of names.
pub(super) fn csv(group_by: &[Dimension], rows: &[UsageRow]) -> String {
    let mut table = columns(group_by).collect::<Vec<_>>().join(",") + "\r\n";
    for row in rows {
        let groups = row.group.iter().map(|(_, value)| field(value.as_deref().unwrap_or_default()));
        let figures = [row.calls, row.failed_calls].into_iter().chain(row.usage.figures());
        let figures = figures.map(|figure| figure.to_string());
        let cells: Vec<String> = groups.chain(figures).chain([dollars(row.usage.cost_microusd)]).collect();
        table += &(cells.join(",") + "\r\n");
    }
    table
}

/// Names of models come from clients. A field that a spreadsheet would take for a formula begins with a quote.
fn field(value: &str) -> String {
    let value = if value.starts_with(['=', '+', '-', '@', '\t', '\r']) {
        format!("'{value}")
    } else {
        value.to_owned()
    };
    if value.contains([',', '"', '\r', '\n']) { format!("\"{}\"", value.replace('"', "\"\"")) } else { value }
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::Usage;

    use super::*;

    #[test]
    fn fields_are_quoted_where_they_have_to_be() {
        let row = |model: &str| UsageRow {
            group: vec![(Dimension::Model, Some(model.to_owned())), (Dimension::Session, None)],
            calls: 2,
            failed_calls: 1,
            usage: Usage { input_tokens: 3, cost_microusd: 1_000_007, ..Usage::default() },
        };
        let table = csv(&[Dimension::Model, Dimension::Session], &[row("a,\"b\""), row("=1+1")]);
        assert_eq!(
            table,
            "model,session,calls,failed_calls,input_tokens,output_tokens,cache_read_tokens,cache_write_tokens,\
             thinking_tokens,web_searches,cost_microusd,unpriced_calls,cost_usd\r\n\
             \"a,\"\"b\"\"\",,2,1,3,0,0,0,0,0,1000007,0,1.000007\r\n\
             '=1+1,,2,1,3,0,0,0,0,0,1000007,0,1.000007\r\n"
        );
    }
}
