//! What a job may use up, and what it has.

use std::num::NonZeroU32;

use drover_shared::schema::dollars::write_dollars;
use drover_shared::schema::{Failure, FailureKind, JobSpec};

/// What a job may use up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Allowance {
    /// Most calls of an agent to the model. A chat job has one in any case.
    pub turns: u32,
    /// Most it may cost, in millionths of a US dollar; `None` for any sum.
    pub budget_microusd: Option<u64>,
}

impl Allowance {
    /// What each of so many answers to one request may use up.
    #[must_use]
    pub fn shared_by(self, answers: NonZeroU32) -> Self {
        let share = |budget: u64| budget / u64::from(answers.get());
        Self { budget_microusd: self.budget_microusd.map(share), ..self }
    }

    /// The job's own limits, as far as they are below the worker's.
    fn within(self, spec: &JobSpec) -> Self {
        let Some(agent) = &spec.agent else { return self };
        let options = &agent.options;
        let budgets = [self.budget_microusd, options.budget_microusd];
        Self {
            turns: options.max_turns.map_or(self.turns, |turns| turns.min(self.turns)),
            budget_microusd: budgets.into_iter().flatten().min(),
        }
    }
}

/// What a job has used up.
#[derive(Debug)]
pub(super) struct Account {
    allowance: Allowance,
    calls: u32,
    spent_microusd: u64,
}

impl Account {
    pub(super) fn open(spec: &JobSpec, worker: Allowance) -> Self {
        let allowance = worker.within(spec);
        Self { allowance, calls: 0, spent_microusd: 0 }
    }

    /// Makes one more call, or says why not. What calls that are still under way will cost is not known, so
    /// a job may end up above its budget by as much as those.
    pub(super) fn call(&mut self) -> Result<(), Failure> {
        if self.calls >= self.allowance.turns {
            return Err(turns_exceeded(self.allowance.turns));
        }
        self.afford()?;
        self.calls += 1;
        Ok(())
    }

    /// Whether the budget has room for another provider to be asked.
    pub(super) fn afford(&self) -> Result<(), Failure> {
        match self.allowance.budget_microusd {
            Some(budget) if self.spent_microusd >= budget => {
                Err(budget_exceeded(self.spent_microusd, budget))
            }
            _ => Ok(()),
        }
    }

    /// Whether the job may cost so much and no more: what it asks must have a known price.
    pub(super) fn has_budget(&self) -> bool {
        self.allowance.budget_microusd.is_some()
    }

    /// A call has cost so much more, in millionths of a US dollar.
    pub(super) fn spend(&mut self, microusd: u64) {
        self.spent_microusd = self.spent_microusd.saturating_add(microusd);
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

/// The job has a budget, and nobody says what the model costs.
pub(super) fn no_price(model: &str) -> Failure {
    Failure::new(
        FailureKind::InvalidRequest,
        format!("The job has a budget, but what the model `{model}` costs is not known."),
    )
}

#[cfg(test)]
mod tests {
    use super::super::tests::{agent, job};
    use super::*;

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
        let mut account = Account::open(&agent(None, None).spec, worker);
        for cost in [4_000, 3_996] {
            account.call().expect("below the budget");
            account.spend(cost);
        }
        account.call().expect("4 millionths are left");
        account.spend(4);
        assert!(account.has_budget() && account.afford().is_err());
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
}
