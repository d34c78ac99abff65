//! What the log says of requests, and what it does not.

use std::io;
use std::sync::{Arc, Mutex};

use tracing_subscriber::fmt::MakeWriter;

use super::client::Call;
use super::store::{completed, text};
use super::{Api, within};

#[derive(Clone, Default)]
struct Log(Arc<Mutex<Vec<u8>>>);

impl Log {
    fn lines(&self) -> Vec<String> {
        let bytes = self.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text").lines().map(ToOwned::to_owned).collect()
    }
}

impl io::Write for Log {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Log {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[tokio::test]
async fn a_request_has_one_line_without_its_content() {
    let log = Log::default();
    let subscriber = tracing_subscriber::fmt()
        .with_writer(log.clone())
        .with_ansi(false)
        .with_max_level(tracing::Level::TRACE)
        .finish();
    let _logging = tracing::subscriber::set_default(subscriber);
    let api = Api::with(|settings| settings.api_keys = vec!["sesame-key".to_owned()]).await;

    let call = Call::chat(r#"{"text":"the-prompt","stream":true}"#).header("x-api-key", "sesame-key");
    let asked = tokio::spawn(call.send(api.address));
    let job = api.store.job_enqueued().await;
    api.store.say(job, [text("the-answer"), completed()]);
    let mut answer = asked.await.expect("an answer");
    answer.rest().await.expect("an orderly end");
    let id = answer.header("x-request-id").to_owned();
    Call::get("/v1/models").header("x-api-key", "wrong-key").send(api.address).await;
    drop(within("leaving", async { api.ask("{}").await.expect("an answer") }).await);

    let lines = log.lines();
    let of_request: Vec<_> = lines.iter().filter(|line| line.contains(&id)).collect();
    assert_eq!(of_request.len(), 1, "{lines:#?}");
    for part in ["INFO", "method=POST", "route=/v1/chat/completions", "status=200", "ms=", &job.to_string()] {
        assert!(of_request[0].contains(part), "{part}: {}", of_request[0]);
    }
    assert_eq!(lines.iter().filter(|line| line.contains("status=401")).count(), 2, "{lines:#?}");
    for secret in ["the-prompt", "the-answer", "sesame-key", "wrong-key"] {
        assert!(!lines.iter().any(|line| line.contains(secret)), "{secret} is in the log");
    }
}
