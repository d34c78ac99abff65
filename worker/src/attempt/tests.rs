//! What ends an attempt, and how.

use super::*;

const LIMITS: Limits = Limits { wall_ms: 60_000, stall_ms: 10_000, ready_ms: 5_000 };

fn attempt() -> Attempt {
    Attempt::new(Class::Chat, LIMITS, 1, 3, 0)
}

fn text() -> Vec<Event> {
    vec![Event::TextDelta { index: 0, text: "hi".to_owned() }]
}

fn stopped(stop: StopReason) -> Vec<Event> {
    vec![Event::MessageStopped { stop, stop_sequence: None }]
}

fn end(actions: Vec<Action>) -> End {
    match actions.into_iter().next_back() {
        Some(Action::End(end)) => end,
        other => panic!("no end: {other:?}"),
    }
}

fn failure(actions: Vec<Action>) -> FailureKind {
    match end(actions) {
        End::Failed(failure) => failure.kind,
        other => panic!("no failure: {other:?}"),
    }
}

#[test]
fn an_answer_is_whole_when_its_message_stops() {
    let mut attempt = attempt();
    assert_eq!(attempt.step(Input::Line(text()), 1), [Action::Publish(text())]);
    let actions = attempt.step(Input::Line(stopped(StopReason::EndTurn)), 2);
    assert_eq!(end(actions), End::Completed { stop: StopReason::EndTurn, stop_sequence: None });
}

#[test]
fn an_agents_job_is_over_when_its_turn_is() {
    let agent = || Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
    let used = || vec![Event::ToolFinished { id: "t".to_owned(), failed: false }];
    let mut done = agent();
    for events in [text(), used()] {
        assert_eq!(done.step(Input::Line(events.clone()), 1), [Action::Publish(events)]);
    }
    let ended = Input::TurnEnded { error: None, stop: Some(StopReason::EndTurn) };
    assert_eq!(end(done.step(ended, 2)), End::Completed { stop: StopReason::EndTurn, stop_sequence: None });

    let mut bounded = agent();
    bounded.step(Input::Line(used()), 1);
    bounded.step(Input::ProviderFailed(Failure::new(FailureKind::TurnsExceeded, "enough")), 2);
    assert_eq!(
        failure(bounded.step(Input::TurnEnded { error: None, stop: None }, 3)),
        FailureKind::TurnsExceeded
    );

    let mut broken = agent();
    broken.step(Input::Line(used()), 1);
    let ended = || Input::TurnEnded { error: Some("API Error".to_owned()), stop: None };
    assert_eq!(failure(broken.step(ended(), 2)), FailureKind::CliFailed, "a tool has been used");
    assert!(matches!(end(agent().step(ended(), 2)), End::Requeue { .. }));
    let silent = agent().step(Input::TurnEnded { error: None, stop: None }, 1);
    assert_eq!(failure(silent), FailureKind::EmptyAnswer);
}

#[test]
fn silence_is_an_answer_only_where_something_cut_it_off() {
    assert_eq!(
        failure(attempt().step(Input::Line(stopped(StopReason::EndTurn)), 1)),
        FailureKind::EmptyAnswer
    );
    assert!(matches!(
        end(attempt().step(Input::Line(stopped(StopReason::MaxTokens)), 1)),
        End::Completed { .. }
    ));
}

#[test]
fn a_broken_cli_is_tried_again_until_the_job_has_spoken() {
    let exit = || Input::Exited { account: "it exited with code 1".to_owned() };
    assert!(matches!(end(attempt().step(exit(), 1)), End::Requeue { .. }));
    let mut last = Attempt::new(Class::Chat, LIMITS, 3, 3, 0);
    assert_eq!(failure(last.step(exit(), 1)), FailureKind::CliFailed);
    let mut speaking = attempt();
    speaking.step(Input::Line(text()), 1);
    assert_eq!(failure(speaking.step(exit(), 2)), FailureKind::CliFailed);
}

#[test]
fn the_providers_failure_outranks_the_clis_account_of_it() {
    let overloaded = || Failure::new(FailureKind::ProviderOverloaded, "overloaded");
    let mut told = attempt();
    assert!(told.step(Input::ProviderFailed(overloaded()), 1).is_empty());
    let actions = told.step(Input::TurnEnded { error: Some("API Error".to_owned()), stop: None }, 2);
    assert_eq!(failure(actions), FailureKind::ProviderOverloaded);
    let mut silent = attempt();
    silent.step(Input::ProviderFailed(overloaded()), 1);
    assert!(silent.step(Input::Tick, 1 + FAREWELL_MS - 1).is_empty());
    assert_eq!(failure(silent.step(Input::Tick, 1 + FAREWELL_MS)), FailureKind::ProviderOverloaded);
}

#[test]
fn a_cli_that_hung_up_on_its_answer_is_tried_again() {
    let hung_up = || Failure::new(FailureKind::CliFailed, "hung up");
    let exit = Input::Exited { account: "it was killed by signal 9".to_owned() };
    let mut gone = attempt();
    gone.step(Input::ProviderFailed(hung_up()), 1);
    assert!(matches!(end(gone.step(exit, 2)), End::Requeue { .. }));
    let mut silent = attempt();
    silent.step(Input::ProviderFailed(hung_up()), 1);
    assert!(matches!(end(silent.step(Input::Tick, 1 + FAREWELL_MS)), End::Requeue { .. }));
    let mut spoken = attempt();
    spoken.step(Input::Line(text()), 1);
    spoken.step(Input::ProviderFailed(hung_up()), 2);
    assert_eq!(failure(spoken.step(Input::Tick, 2 + FAREWELL_MS)), FailureKind::CliFailed);
}

#[test]
fn every_limit_has_its_own_error() {
    assert!(matches!(end(attempt().step(Input::Tick, LIMITS.ready_ms)), End::Requeue { .. }));
    let mut stalled = attempt();
    stalled.step(Input::Line(text()), 1_000);
    assert!(stalled.step(Input::Tick, 10_999).is_empty());
    assert_eq!(failure(stalled.step(Input::Tick, 11_000)), FailureKind::JobStalled);
    let mut long = attempt();
    long.step(Input::Line(text()), 59_000);
    assert_eq!(failure(long.step(Input::Tick, 60_000)), FailureKind::JobTimeout);
}

#[test]
fn a_stopping_worker_gives_back_what_has_not_spoken() {
    for attempt in [1, 3] {
        let mut silent = Attempt::new(Class::Chat, LIMITS, attempt, 3, 0);
        assert_eq!(end(silent.step(Input::Stop, 1)), End::Returned, "attempt {attempt}");
    }
    let mut speaking = attempt();
    speaking.step(Input::Line(text()), 1);
    assert_eq!(failure(speaking.step(Input::Stop, 2)), FailureKind::WorkerLost);
}

#[test]
fn a_job_that_took_too_much_is_never_run_again() {
    let breached = || Input::Breached { account: "it used more than 64 MB of memory".to_owned() };
    let expected = "the job was stopped: it used more than 64 MB of memory";
    let failure = Failure::new(FailureKind::ResourceLimit, expected);
    assert_eq!(end(attempt().step(breached(), 1)), End::Failed(failure));
    let mut speaking = attempt();
    speaking.step(Input::Line(text()), 1);
    assert!(matches!(end(speaking.step(breached(), 2)), End::Failed(_)));
}

#[test]
fn a_lost_lease_ends_without_a_word() {
    assert_eq!(end(attempt().step(Input::LeaseLost, 1)), End::Abandoned);
}

#[test]
fn a_turn_that_begins_with_a_tool_speaks_by_it_once() {
    let call = |id: &str| Input::ToolCalled {
        id: id.to_owned(),
        name: "Bash".to_owned(),
        title: Some("ls".to_owned()),
    };
    let started = |id: &str| Event::ToolStarted {
        id: id.to_owned(),
        name: "Bash".to_owned(),
        title: Some("ls".to_owned()),
    };
    let mut first = Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
    assert_eq!(first.step(call("a"), 1), [Action::Publish(vec![started("a")])]);
    assert_eq!(first.step(Input::Line(vec![started("a")]), 2), [], "the CLI tells of it too");
    assert_eq!(first.step(Input::Tick, 20_000), [], "and that it is at work");
    let next = vec![started("b")];
    assert_eq!(first.step(Input::Line(next.clone()), 20_001), [Action::Publish(next)]);
    assert_eq!(failure(first.step(Input::Stop, 20_002)), FailureKind::WorkerLost, "it has spoken");

    let mut later = Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
    later.step(Input::Line(text()), 1);
    assert_eq!(later.step(call("a"), 2), []);
    assert_eq!(later.step(Input::Line(vec![started("a")]), 3), [Action::Publish(vec![started("a")])]);
}

#[test]
fn an_agent_whose_tool_is_at_work_does_not_stall() {
    let started = |id: &str| Event::ToolStarted {
        id: id.to_owned(),
        name: "Bash".to_owned(),
        title: Some("ls".to_owned()),
    };
    let finished = |id: &str| Event::ToolFinished { id: id.to_owned(), failed: false };
    let mut agent = Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
    agent.step(Input::Line(vec![started("a"), started("b")]), 1);
    assert_eq!(agent.step(Input::Tick, 20_000), []);
    agent.step(Input::Line(vec![finished("a")]), 20_001);
    assert_eq!(agent.step(Input::Tick, 40_000), [], "the other one goes on");
    agent.step(Input::Line(vec![finished("b")]), 40_001);
    assert_eq!(failure(agent.step(Input::Tick, 50_001)), FailureKind::JobStalled);

    let mut endless = Attempt::new(Class::Agent, LIMITS, 1, 3, 0);
    endless.step(Input::Line(vec![started("a")]), 1);
    assert_eq!(failure(endless.step(Input::Tick, 60_000)), FailureKind::JobTimeout);

    let mut chat = attempt();
    chat.step(Input::Line(vec![started("a")]), 1);
    assert_eq!(
        failure(chat.step(Input::Tick, 10_001)),
        FailureKind::JobStalled,
        "the tools are the client's"
    );
}
