//! What a job may use up, and what it has.

use drover_shared::provider::price::{self, write_dollars};
use drover_shared::schema::{Failure, FailureKind, JobSpec, Usage};

/// What a job may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Most calls of an agent to the model. A chat job has one in any case.
    pub turns: u32,
    /// Most it may cost, in millionths of a US dollar; `None` for any sum.
    pub budget_microusd: Option<u64>,
}

impl Allowance {
    /// The job's own limits, as far as they are below the worker's.
    fn within(self, spec: &JobSpec) -> Self {
        let Some(agent) = &spec.agent else { return self };
        let budgets = [self.budget_microusd, agent.budget_microusd];
        Self {
            turns: agent.max_turns.map_or(self.turns, |turns| turns.min(self.turns)),
            budget_microusd: budgets.into_iter().flatten().min(),
        }
    }
}

/// What a job has used up.
#[derive(Debug)]
pub(super) struct Account {
    model: String,
    allowance: Allowance,
    calls: u32,
    spent_microusd: u64,
}

impl Account {
    pub(super) fn open(spec: &JobSpec, worker: Allowance) -> Self {
        let allowance = worker.within(spec);
        Self { model: spec.model.clone(), allowance, calls: 0, spent_microusd: 0 }
    }

    /// Makes one more call, or says why not. What calls that are still under way will cost is not known, so
    /// a job may end up above its budget by as much as those.
    pub(super) fn call(&mut self) -> Result<(), Failure> {
        if self.calls >= self.allowance.turns {
            return Err(turns_exceeded(self.allowance.turns));
        }
        if let Some(budget) = self.allowance.budget_microusd {
            price::cost(&self.model, &Usage::default()).ok_or_else(|| no_price(&self.model))?;
            if self.spent_microusd >= budget {
                return Err(budget_exceeded(self.spent_microusd, budget));
            }
        }
        self.calls += 1;
        Ok(())
    }

    /// A call of which `earlier` was known has now been billed `usage`.
    pub(super) fn bill(&mut self, earlier: &Usage, usage: &Usage) {
        let cost = |usage| price::cost(&self.model, usage).unwrap_or(0);
        let more = cost(usage).saturating_sub(cost(earlier));
        self.spent_microusd = self.spent_microusd.saturating_add(more);
    }
}

fn turns_exceeded(turns: u32) -> Failure {
    let times = if turns == 1 { "once".to_owned() } else { format!("{turns} times") };
    Failure::new(
        FailureKind::TurnsExceeded,
        format!("The agent has called the model {times}, which is as often as it may."),
    )
}

fn budget_exceeded(spent: u64, budget: u64) -> Failure {
    let (spent, budget) = (write_dollars(spent), write_dollars(budget));
    Failure::new(
        FailureKind::BudgetExceeded,
        format!("The job has cost {spent}, and may cost no more than {budget}."),
    )
}

fn no_price(model: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("The job has a budget, but what the model `{model}` costs is not known."),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agent, job};
    use super::*;

    fn usage(input_tokens: u64) -> Usage {
        Usage { input_tokens, ..Usage::default() }
    }

    #[test]
    fn the_smaller_of_two_limits_counts() {
        let worker = Allowance { turns: 10, budget_microusd: Some(500) };
        for (turns, budget, expected) in [
            (None, None, (10, Some(500))),
            (Some(3), Some(7), (3, Some(7))),
            (Some(30), Some(700), (10, Some(500))),
        ] {
            let spec = agent(turns, budget).spec;
            let allowance = worker.within(&spec);
            assert_eq!((allowance.turns, allowance.budget_microusd), expected);
        }
        assert_eq!(worker.within(&job().spec), worker);
    }

    #[test]
    fn a_budget_ends_with_the_call_that_reaches_it() {
        let worker = Allowance { turns: 9, budget_microusd: Some(8_000) };
        // Four millionths for a token of the prompt.
        let mut account = Account::open(&agent(None, None).spec, worker);
        for (earlier, now) in [(0, 1_000), (1_000, 1_999)] {
            account.call().expect("below the budget");
            account.bill(&usage(earlier), &usage(now));
        }
        account.call().expect("4 millionths are left");
        account.bill(&usage(0), &usage(1));
        let failure = account.call().expect_err("nothing is left");
        assert_eq!(failure.kind, FailureKind::BudgetExceeded);
        assert_eq!(failure.message, "The job has cost $0.008, and may cost no more than $0.008.");
    }

    #[test]
    fn calls_are_counted() {
        let mut account =
            Account::open(&agent(Some(2), None).spec, Allowance { turns: 9, budget_microusd: None });
        assert!(account.call().is_ok() && account.call().is_ok());
        let failure = account.call().expect_err("that was all");
        assert_eq!(failure.kind, FailureKind::TurnsExceeded);
        assert_eq!(failure.message, "The agent has called the model 2 times, which is as often as it may.");
    }

    #[test]
    fn a_budget_needs_a_price() {
        let mut spec = JobSpec::clone(&agent(None, Some(1)).spec);
        spec.model = "kimi-k3".to_owned();
        let worker = Allowance { turns: 9, budget_microusd: None };
        let failure = Account::open(&spec, worker).call().expect_err("no price");
        assert_eq!(failure.kind, FailureKind::InvalidRequest);
        assert!(failure.message.contains("`kimi-k3`"), "{}", failure.message);
        if let Some(agent) = &mut spec.agent {
            agent.budget_microusd = None;
        }
        assert!(Account::open(&spec, worker).call().is_ok());
    }
}
