//! One job after another on one real CLI, whatever became of the one before.

use std::sync::Arc;

use drover_shared::cli::Build;
use drover_shared::schema::{Event, FailureKind, Part};
use serde_json::json;

use super::super::{Binding, Bound};
use super::provider::{Exchange, Provider, closed, delta, ended, opened, started, stop, tool};
use super::session::{BUILDS, Session};
use super::{job, soon};

/// What may become of a job.
#[derive(Clone, Copy, Debug)]
enum Fate {
    Answered,
    /// The provider says no.
    Refused(u16, FailureKind),
    /// The connection breaks within a block, or after one.
    Reset {
        after_block: bool,
    },
    /// The answer is whole, but the CLI does not leave it at that: it is stopped once it has called again.
    GoesOn(&'static str),
    /// The CLI is stopped as soon as the answer is whole, whatever it would do next.
    Stopped(&'static str),
    /// The client leaves; the CLI is stopped at once, before or after the answer has begun.
    CalledOff {
        begun: bool,
    },
}

use Fate::{Answered, CalledOff, GoesOn, Refused, Reset, Stopped};

const FATES: [Fate; 19] = [
    Answered,
    Refused(400, FailureKind::InvalidRequest),
    Refused(401, FailureKind::ProviderAuthFailed),
    Refused(404, FailureKind::ModelNotFound),
    Refused(429, FailureKind::ProviderRateLimited),
    Refused(529, FailureKind::ProviderOverloaded),
    Reset { after_block: false },
    Reset { after_block: true },
    GoesOn("max_tokens"),
    GoesOn("tool_use"),
    GoesOn("model_context_window_exceeded"),
    Stopped("max_tokens"),
    Stopped("tool_use"),
    Stopped("model_context_window_exceeded"),
    Stopped("pause_turn"),
    Stopped("refusal"),
    Stopped("end_turn"),
    CalledOff { begun: false },
    CalledOff { begun: true },
];

/// A process, and how many jobs it has had.
struct Shop {
    provider: Provider,
    session: Session,
    jobs: usize,
}

impl Shop {
    async fn open(build: Build) -> Self {
        let provider = Provider::start().await;
        let mut session = Session::start(&provider, build);
        let _priming = session.relay.prime("Ferry 0");
        session.say("Ferry 0").await;
        session.turn().await;
        Self { provider, session, jobs: 0 }
    }

    /// Hands the next job to the process. What has reached the provider is that job and nothing else.
    async fn begin(&mut self) -> (Binding, Exchange) {
        self.jobs += 1;
        let mut bound = job();
        let spec = Arc::make_mut(&mut bound.spec);
        spec.turns[0].parts = vec![Part::Text { text: format!("Question {}", self.jobs) }];
        let placeholder = format!("Ferry {}", self.jobs);
        let binding = self.session.relay.bind(Bound { placeholder: placeholder.clone(), ..bound });
        self.session.say(&placeholder).await;
        let asked = self.provider.asked().await;
        let said = json!([{ "type": "text", "text": format!("Question {}", self.jobs) }]);
        assert_eq!(asked.body["messages"], json!([{ "role": "user", "content": said }]));
        for word in ["Ferry", "Answer", "Relayed"] {
            assert!(!asked.body.to_string().contains(word), "{word} in {}", asked.body);
        }
        (binding, asked)
    }

    /// Runs a job to its end, after which the process waits for the next one.
    async fn run(&mut self, fate: Fate) {
        let (binding, mut asked) = self.begin().await;
        let text = format!("Answer {}", self.jobs);
        match fate {
            Answered => {
                drop(asked.answer(&text).await);
                let (said, end) = self.session.turn().await;
                assert_eq!((said, end.is_error), (text, false));
            }
            Refused(status, kind) => {
                let error = json!({ "type": "error", "error": { "type": "x", "message": "as it is" } });
                asked.reply(status, "", &error.to_string()).await;
                let (_, end) = self.session.turn().await;
                assert_eq!(end.api_error_status, Some(status));
                assert_eq!(binding.report().failure.expect("a failure").kind, kind);
            }
            Reset { after_block } => {
                asked.begin().await;
                asked.send(&[started(), opened(), delta(&text)].concat()).await;
                if after_block {
                    asked.send(&closed()).await;
                }
                self.session.until(|event| matches!(event, Event::TextDelta { .. })).await;
                asked.reset();
                assert!(self.session.turn().await.1.is_error);
                assert_eq!(binding.report().failure.expect("a failure").kind, FailureKind::StreamInterrupted);
            }
            GoesOn(reason) => {
                speak(asked, reason).await;
                let mut watch = binding.watch();
                soon(watch.wait_for(|report| report.held > 0)).await.expect("a report");
                self.session.interrupt().await;
            }
            Stopped(reason) => {
                speak(asked, reason).await;
                self.session.until(|event| matches!(event, Event::MessageStopped { .. })).await;
                self.session.interrupt().await;
            }
            CalledOff { begun } => {
                if begun {
                    asked.begin().await;
                    asked.send(&[started(), opened(), delta(&text)].concat()).await;
                    self.session.until(|event| matches!(event, Event::TextDelta { .. })).await;
                }
                drop(binding);
                self.session.interrupt().await;
                asked.closed().await;
                assert!(self.provider.is_idle());
                return;
            }
        }
        let report = binding.report();
        assert_eq!(report.forwarded, 1);
        assert!(self.provider.is_idle());
    }
}

/// Answers in full, for this reason.
async fn speak(mut asked: Exchange, reason: &str) {
    asked.begin().await;
    asked.send(&[started(), opened(), delta("Answer"), closed()].concat()).await;
    if reason == "tool_use" {
        asked.send(&tool("get_weather", &json!({}))).await;
    }
    asked.send(&[ended(reason), stop()].concat()).await;
    drop(asked.finish().await);
}

#[tokio::test]
async fn a_process_serves_the_next_job_whatever_became_of_the_one_before() {
    for build in BUILDS {
        let mut shop = Shop::open(build).await;
        for fate in FATES {
            shop.run(fate).await;
            shop.run(Answered).await;
        }
        // And without a good one in between.
        for fate in FATES.into_iter().rev() {
            shop.run(fate).await;
        }
    }
}

/// A turn may end by itself while the order to end it is on its way.
#[tokio::test]
async fn an_interrupt_between_two_jobs_changes_nothing() {
    for build in BUILDS {
        let mut shop = Shop::open(build).await;
        for _ in 0..2 {
            shop.run(Answered).await;
            shop.session.interrupt_idle().await;
        }
        shop.run(Answered).await;
    }
}
