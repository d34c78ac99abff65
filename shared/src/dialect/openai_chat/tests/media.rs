use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::{accepted, refused};
use crate::schema::media::Source;
use crate::schema::{Part, Role, limits};

const PNG: &[u8] = b"\x89PNG\r\n\x1a\nmore";

fn body(parts: &str) -> String {
    format!(r#"{{"model":"m","messages":[{{"role":"user","content":[{parts}]}}]}}"#)
}

fn image(url: &str) -> String {
    format!(r#"{{"type":"image_url","image_url":{{"url":"{url}"}}}}"#)
}

fn data(media_type: &str, bytes: &[u8]) -> String {
    format!("data:{media_type};base64,{}", STANDARD.encode(bytes))
}

fn file(fields: &str) -> String {
    format!(r#"{{"type":"file","file":{{{fields}}}}}"#)
}

fn only_part(body: &str) -> Part {
    let turns = accepted(body).spec.turns;
    let [turn] = &turns[..] else { panic!("one turn") };
    assert_eq!(turn.role, Role::User);
    let [part] = &turn.parts[..] else { panic!("one part") };
    part.clone()
}

fn base64(media_type: &str, bytes: &[u8]) -> Source {
    Source::Base64 { media_type: media_type.to_owned(), data: STANDARD.encode(bytes) }
}

#[test]
fn images_are_kept_as_they_are() {
    for (url, source) in [
        (data("image/png", PNG), base64("image/png", PNG)),
        (data("Image/JPG", b"\xff\xd8\xff\xe0"), base64("image/jpeg", b"\xff\xd8\xff\xe0")),
        (data("image/gif;name=a", b"GIF89a"), base64("image/gif", b"GIF89a")),
        (data("image/webp", b"RIFF1234WEBP"), base64("image/webp", b"RIFF1234WEBP")),
        ("HTTPS://a.example/b?c=%20".to_owned(), Source::Url { url: "HTTPS://a.example/b?c=%20".to_owned() }),
    ] {
        assert_eq!(only_part(&body(&image(&url))), Part::Image { source }, "{url}");
    }
    let request = accepted(&body(
        r#"{"type":"image_url","image_url":{"url":"https://a.example","detail":"low"}},{"type":"text","text":"?"}"#,
    ));
    assert_eq!(request.ignored, ["messages[].content[].image_url.detail"]);
    assert_eq!(request.spec.turns[0].parts.len(), 2);
}

#[test]
fn what_is_no_image_is_refused() {
    let large = data("image/gif", &[b"GIF8".as_slice(), &vec![0; limits::IMAGE_BYTES]].concat());
    let long = format!("https://a.example/{}", "x".repeat(limits::IMAGE_URL_BYTES));
    for url in [
        "",
        "file:///etc/passwd",
        "/etc/passwd",
        "http://a.example/b.png",
        "ftp://a.example",
        "https:a.example",
        "https:///b.png",
        "https://a.example/ b",
        "data:image/png",
        "data:image/png,abc",
        "data:image/png;base64,%%%",
        "data:image/png;base64,iVBO Rw0K",
        "data:image/svg+xml;base64,AAAA",
        &data("image/png", b"GIF89a"),
        &data("text/html", b"GIF89a"),
        &long,
        &large,
    ] {
        refused(&body(&image(url)), "invalid_value", Some("messages[0].content[0].image_url.url"));
    }
    let part = "messages[0].content[0]";
    for (parts, code, param) in [
        (r#"{"type":"image_url"}"#, "missing_required_parameter", format!("{part}.image_url")),
        (
            r#"{"type":"image_url","image_url":"https://a.example"}"#,
            "invalid_type",
            format!("{part}.image_url"),
        ),
        (
            r#"{"type":"image_url","image_url":{}}"#,
            "missing_required_parameter",
            format!("{part}.image_url.url"),
        ),
        (r#"{"type":"input_audio","input_audio":{}}"#, "unsupported_parameter", format!("{part}.type")),
    ] {
        refused(&body(parts), code, Some(&param));
    }
    let images = vec![image("https://a.example"); limits::IMAGES + 1].join(",");
    refused(&body(&images), "invalid_value", Some("messages"));
}

#[test]
fn documents_are_pdfs_or_text() {
    let pdf = data("application/pdf", b"%PDF-1.7");
    let document = |source, title: Option<&str>| Part::Document { source, title: title.map(str::to_owned) };
    for (fields, part) in [
        (
            format!(r#""filename":"a.pdf","file_data":"{pdf}""#),
            document(base64("application/pdf", b"%PDF-1.7"), Some("a.pdf")),
        ),
        (
            format!(r#""file_data":"{}""#, data("text/csv;charset=utf-8", "ü,b\n".as_bytes())),
            document(Source::Text { data: "ü,b\n".to_owned() }, None),
        ),
    ] {
        assert_eq!(only_part(&body(&file(&fields))), part, "{fields}");
    }
    let (invalid, place) = ("invalid_value", "messages[0].content[0].file");
    for (fields, code, field) in [
        (r#""file_id":"file-1""#.to_owned(), "file_not_found", ".file_id"),
        (String::new(), "missing_required_parameter", ".file_data"),
        (format!(r#""file_data":"{}""#, data("application/pdf", b"MZ")), invalid, ".file_data"),
        (format!(r#""file_data":"{}""#, data("text/plain", b"\xff")), invalid, ".file_data"),
        (format!(r#""file_data":"{}""#, data("text/plain", b"")), invalid, ".file_data"),
        (format!(r#""file_data":"{}""#, data("application/zip", b"PK")), invalid, ".file_data"),
        (r#""file_data":"https://a.example/b.pdf""#.to_owned(), invalid, ".file_data"),
    ] {
        refused(&body(&file(&fields)), code, Some(&format!("{place}{field}")));
    }
}

#[test]
fn only_users_and_tools_show_something() {
    let picture = image("https://a.example");
    for role in ["system", "assistant"] {
        let body = format!(
            r#"{{"model":"m","messages":[{{"role":"{role}","content":[{picture}]}},{{"role":"user","content":"x"}}]}}"#
        );
        refused(&body, "invalid_value", Some("messages[0].content[0].type"));
    }
    let shown = format!(
        r#"{{"model":"m","messages":[{{"role":"user","content":"x"}},
            {{"role":"assistant","tool_calls":[{{"id":"t","function":{{"name":"f","arguments":"{{}}"}}}}]}},
            {{"role":"tool","tool_call_id":"t","content":[{picture}]}}]}}"#
    );
    let turns = accepted(&shown).spec.turns;
    let source = Source::Url { url: "https://a.example".to_owned() };
    let content = vec![Part::Image { source }];
    assert_eq!(turns[2].parts, [Part::ToolResult { tool_use_id: "t".to_owned(), content, is_error: false }]);
    let agent = body(&picture).replace(r#""model":"m""#, r#""model":"m","agent":true"#);
    refused(&agent, "unsupported_parameter", Some("messages"));
}
