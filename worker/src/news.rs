//! What a relay reports of a job's calls, as far as it is new.

use drover_shared::provider::tool::ToolCall;
use drover_shared::schema::{Event, Failure};
use tokio::sync::watch;

use crate::relay::{Report, Routed};

/// A relay's reports, read so that nothing is told twice.
pub(crate) struct Reports {
    latest: watch::Receiver<Report>,
    routed: Option<Routed>,
    tool: bool,
    failed: bool,
}

/// Something that the attempt has to know.
#[derive(Debug)]
pub(crate) enum News {
    /// A provider has begun to answer: the events that say so.
    Routed(Vec<Event>),
    /// The relay holds the call of an agent's tool.
    ToolCalled(ToolCall),
    /// There will be no whole answer.
    Failed(Failure),
}

impl Reports {
    /// Of a binding that was just made.
    pub(crate) fn new(reports: watch::Receiver<Report>) -> Self {
        Self { latest: reports, routed: None, tool: false, failed: false }
    }

    /// The next piece of news. May be dropped and asked again.
    pub(crate) async fn next(&mut self) -> News {
        loop {
            if let Some(news) = self.look() {
                return news;
            }
            if self.latest.changed().await.is_err() {
                std::future::pending::<()>().await;
            }
        }
    }

    fn look(&mut self) -> Option<News> {
        let report = self.latest.borrow_and_update();
        if let Some(routed) = report.routed.as_ref().filter(|routed| self.routed.as_ref() != Some(routed)) {
            let events = events(routed);
            self.routed = Some(routed.clone());
            return Some(News::Routed(events));
        }
        if let Some(call) = report.tool.clone().filter(|_| !self.tool) {
            self.tool = true;
            return Some(News::ToolCalled(call));
        }
        let failure = report.failure.clone().filter(|_| !self.failed)?;
        self.failed = true;
        Some(News::Failed(failure))
    }
}

/// Who answers, and who did not.
fn events(routed: &Routed) -> Vec<Event> {
    let passed_over = routed.passed_over.iter().map(|(provider, code)| Event::Notice {
        code: "failover".to_owned(),
        message: format!("{provider} did not answer ({code}); {} does.", routed.provider),
    });
    let Routed { provider, model, attempts, .. } = routed.clone();
    passed_over.chain([Event::Routed { provider, model, attempts }]).collect()
}

#[cfg(test)]
mod tests {
    use drover_shared::schema::FailureKind;

    use super::*;

    #[tokio::test]
    async fn every_change_is_told_once_and_the_route_before_the_failure() {
        let (sender, reports) = watch::channel(Report::default());
        let mut news = Reports::new(reports);
        let routed = Routed {
            provider: "second".to_owned(),
            model: "m".to_owned(),
            attempts: 2,
            passed_over: vec![("first".to_owned(), "provider_overloaded")],
        };
        sender.send_modify(|report| {
            report.routed = Some(routed.clone());
            report.failure = Some(Failure::new(FailureKind::StreamInterrupted, "cut"));
        });
        let News::Routed(events) = news.next().await else { panic!("the route comes first") };
        let notice = "first did not answer (provider_overloaded); second does.".to_owned();
        assert_eq!(
            events,
            [
                Event::Notice { code: "failover".to_owned(), message: notice },
                Event::Routed { provider: "second".to_owned(), model: "m".to_owned(), attempts: 2 },
            ]
        );
        assert!(matches!(news.next().await, News::Failed(_)));
        sender.send_modify(|report| report.forwarded += 1);
        assert!(news.look().is_none());
    }
}
