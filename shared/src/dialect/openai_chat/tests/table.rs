use std::collections::BTreeSet;

use super::super::parameters::{self, Kind, PARAMETERS, RESPONSES_PARAMETERS, Scope, Treatment};
use super::parse;

#[test]
fn every_field_of_the_specification_is_listed() {
    let specified = "model messages audio frequency_penalty function_call functions logit_bias logprobs \
        top_logprobs max_completion_tokens max_tokens metadata modalities moderation n parallel_tool_calls \
        prediction presence_penalty prompt_cache_key prompt_cache_options prompt_cache_retention \
        reasoning_effort response_format safety_identifier seed service_tier stop store stream \
        stream_options temperature tool_choice tools top_p user verbosity web_search_options";
    for name in specified.split_whitespace() {
        assert!(parameters::find(Scope::Body, name).is_some(), "{name}");
    }
}

#[test]
fn no_field_is_listed_twice() {
    for table in [PARAMETERS, RESPONSES_PARAMETERS] {
        let names: BTreeSet<_> = table.iter().map(|row| (row.scope.prefix(), row.name)).collect();
        assert_eq!(names.len(), table.len());
    }
}

/// A body that sets the parameter to a value of its kind that is not neutral.
fn body_with(row: &parameters::Parameter, value: &str) -> String {
    let name = row.name;
    let fields = |scope| if row.scope == scope { format!(r#""{name}":{value},"#) } else { String::new() };
    let options = fields(Scope::StreamOptions);
    let options = options.trim_end_matches(',');
    let schema = match fields(Scope::JsonSchema) {
        fields if fields.is_empty() => String::new(),
        fields => format!(
            r#""response_format":{{"type":"json_schema","json_schema":{{{fields}"name":"n","schema":{{}}}}}},"#
        ),
    };
    format!(
        r#"{{{}"model":"m","stream":true,"stream_options":{{{options}}},{schema}
            "messages":[{{{}"role":"user","content":[
                {{{}"type":"text","text":"x"}},{{"type":"image_url","image_url":{{{}"url":"https://a.example"}}}},
                {{"type":"file","file":{{{}"file_data":"data:text/plain;base64,eA=="}}}}]}}]}}"#,
        fields(Scope::Body),
        fields(Scope::Message),
        fields(Scope::Part),
        fields(Scope::ImageUrl),
        fields(Scope::File),
    )
}

#[test]
fn what_the_table_says_is_refused_is_refused() {
    for row in PARAMETERS {
        let value = match row.kind {
            Kind::Any | Kind::String | Kind::StringOrArray | Kind::StringOrObject => r#""?""#,
            Kind::Array => "[5]",
            Kind::Boolean | Kind::BooleanOrObject => "true",
            Kind::Integer | Kind::Number | Kind::NumberOrString => "7",
            Kind::Object => r#"{"?":5}"#,
        };
        let result = parse(&body_with(row, value));
        let admits = |values: &[parameters::Neutral]| values.contains(&parameters::Neutral::Boolean(true));
        match row.treatment {
            Treatment::Honoured => {}
            Treatment::Neutral(values) if admits(values) => {
                assert_eq!(result.expect(row.name).ignored, Vec::<String>::new());
            }
            Treatment::Ignored => assert_eq!(result.expect(row.name).ignored, [named(row)]),
            Treatment::IgnoredIf(values) if admits(values) => {
                assert_eq!(result.expect(row.name).ignored, [named(row)]);
            }
            Treatment::Refused | Treatment::Neutral(_) | Treatment::IgnoredIf(_) => {
                assert_eq!(result.expect_err(row.name).code, "unsupported_parameter", "{}", row.name);
            }
        }
    }
}

fn named(row: &parameters::Parameter) -> String {
    format!("{}{}", row.scope.prefix(), row.name)
}

#[test]
fn the_table_is_printed_row_by_row() {
    let table = parameters::markdown(PARAMETERS);
    assert_eq!(table.lines().count(), PARAMETERS.len() + 2);
    assert!(table.contains("| `logprobs` | boolean | only `false` |"), "{table}");
    assert!(table.contains("| `stream_options.include_usage` | boolean | honoured |"), "{table}");
    assert!(table.lines().all(|line| line.matches('|').count() == 5), "{table}");
}
