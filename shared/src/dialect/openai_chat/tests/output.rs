use super::{accepted, refused, with};
use crate::schema::OutputFormat;

#[test]
fn a_shape_is_read() {
    let format = |fields: &str| format!(r#""response_format":{{{fields}}},"#);
    let schema = |fields: &str| format(&format!(r#""type":"json_schema","json_schema":{{{fields}}}"#));
    let named = r#""name":"n","schema":{"type":"object"}"#;
    let object = serde_json::json!({"type": "object"}).as_object().cloned().expect("an object");
    let expected = |strict| Some(OutputFormat::Schema { schema: object.clone(), strict });
    for (fields, output) in [
        (format(r#""type":"text""#), None),
        (format(r#""type":"json_object""#), Some(OutputFormat::Object)),
        (schema(named), expected(false)),
        (schema(&format!(r#"{named},"strict":true"#)), expected(true)),
    ] {
        let request = accepted(&with(&fields));
        assert_eq!((&request.spec.output, &request.form.output), (&output, &output), "{fields}");
    }
    let (invalid, missing) = ("invalid_value", "missing_required_parameter");
    for (fields, code, param) in [
        (format(""), missing, "response_format.type"),
        (format(r#""type":"xml""#), invalid, "response_format.type"),
        (format(r#""type":"json_schema""#), missing, "response_format.json_schema"),
        (schema(r#""schema":{}"#), missing, "response_format.json_schema.name"),
        (schema(r#""name":"n m","schema":{}"#), invalid, "response_format.json_schema.name"),
        (schema(r#""name":"n""#), missing, "response_format.json_schema.schema"),
        (schema(r#""name":"n","schema":[]"#), "invalid_type", "response_format.json_schema.schema"),
        (
            schema(r##""name":"n","strict":true,"schema":{"$ref":"#"}"##),
            invalid,
            "response_format.json_schema.schema",
        ),
        (
            schema(r#""name":"n","strict":true,"schema":{"$ref":"http://127.0.0.1:1/x"}"#),
            invalid,
            "response_format.json_schema.schema",
        ),
        (format(r#""type":"json_object""#) + r#""agent":true,"#, "unsupported_parameter", "response_format"),
    ] {
        refused(&with(&fields), code, Some(param));
    }
}
