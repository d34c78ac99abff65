//! A dialect that shows what it is given.

use drover_shared::dialect::{Answer, Beside, Delivery, Dialect, Rejection, Request, StreamEncoder};
use drover_shared::schema::offer::Setting;
use drover_shared::schema::{Event, FileId, JobSpec, Part, Role, Sampling, SeqEvent, Turn};
use serde_json::{Value, json};

pub(super) struct Plain;

impl Dialect for Plain {
    fn name(&self) -> &'static str {
        "plain"
    }

    fn parse(&self, body: &[u8], beside: &Beside) -> Result<Request, Rejection> {
        let body: Value = serde_json::from_slice(body)
            .map_err(|_| Rejection::new(400, "invalid_json", "The body is no JSON."))?;
        assert!(body["panic"].is_null(), "a panic on request");
        let model = body["model"].as_str().or(beside.default_model.as_deref());
        let model =
            model.ok_or_else(|| Rejection::invalid("missing_required_parameter", "model", "No model."))?;
        let text = body["text"].as_str().unwrap_or("hello").to_owned();
        let ignored = body["ignored"].as_array().into_iter().flatten().filter_map(Value::as_str);
        Ok(Request {
            spec: JobSpec {
                model: model.to_owned(),
                turns: vec![Turn { role: Role::User, parts: vec![Part::Text { text }] }],
                sampling: Sampling {
                    top_k: body["top_k"].as_u64().and_then(|k| u32::try_from(k).ok()),
                    ..Sampling::default()
                },
                ..JobSpec::default()
            },
            delivery: if body["stream"] == true && body["background"] != false && beside.prefers_async {
                return Err(Rejection::invalid("invalid_value", "stream", "Nobody waits for it."));
            } else if body["background"].as_bool().unwrap_or(beside.prefers_async) {
                Delivery::Background
            } else if body["stream"] == true {
                Delivery::Stream
            } else {
                Delivery::Whole
            },
            drop_unsupported: body["drop"] == true,
            ignored: ignored.map(ToOwned::to_owned).collect(),
            ..Request::default()
        })
    }

    fn files(&self, _: &[u8]) -> Vec<FileId> {
        Vec::new()
    }

    fn stream(&self, _: &Answer) -> Box<dyn StreamEncoder> {
        Box::new(Frames)
    }

    fn whole(&self, answer: &Answer, events: &[SeqEvent]) -> Result<Vec<u8>, Rejection> {
        let mut text = String::new();
        for event in events {
            match &event.event {
                Event::TextDelta { text: more, .. } => text.push_str(more),
                Event::Failed { failure, .. } => return Err(failure.into()),
                Event::Cancelled { .. } => return Err(Rejection::new(409, "cancelled", "Cancelled.")),
                Event::Expired => return Err(Rejection::new(503, "expired", "Expired.")),
                _ => {}
            }
        }
        let body = json!({
            "job": answer.job, "model": answer.model, "created": answer.created_s, "text": text,
        });
        Ok(body.to_string().into_bytes())
    }

    fn parameter(&self, _: Setting) -> &'static str {
        "a_setting"
    }

    fn limit(&self) -> &'static str {
        "most"
    }

    fn error(&self, rejection: &Rejection) -> Vec<u8> {
        let Rejection { message, param, code, .. } = rejection;
        let error = json!({ "message": message, "type": "plain", "param": param, "code": code });
        json!({ "error": error }).to_string().into_bytes()
    }
}

struct Frames;

impl StreamEncoder for Frames {
    fn encode(&mut self, event: &Event, out: &mut Vec<u8>) {
        let data = match event {
            Event::MessageStarted { .. } => "start",
            Event::TextDelta { text, .. } => text,
            Event::Completed { .. } => "[DONE]",
            Event::Failed { failure, .. } => failure.kind.code(),
            _ => return,
        };
        out.extend_from_slice(format!("data: {data}\n\n").as_bytes());
    }
}
