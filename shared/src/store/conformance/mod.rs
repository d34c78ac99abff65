//! What every store must do, as tests over `dyn Store`. A store passes by giving a [`Bench`] and naming it
//! in [`conformance!`].

pub(super) mod agent;
pub(super) mod append;
pub(super) mod bell;
mod bench;
pub(super) mod cancel;
pub(super) mod claim;
pub(super) mod conversation;
mod desk;
pub(super) mod files;
pub(super) mod fleet;
pub(super) mod hold;
pub(super) mod jobs;
pub(super) mod kept;
pub(super) mod keys;
pub(super) mod ledger;
pub(super) mod life;
pub(super) mod request;
pub(super) mod rescue;
pub(super) mod sessions;
pub(super) mod share;
pub(super) mod stray;
pub(super) mod terms;
pub(super) mod tickets;
pub(super) mod transcript;

pub(super) use self::bench::{Bench, Hand, NOW, Tamper, enqueue_this, new_job};
pub(super) use self::desk::{Desk, chat_job};

/// One test per case, each on a bench of its own.
macro_rules! conformance {
    ($bench:ident: $($group:ident { $($case:ident)+ })+) => {
        $(mod $group {
            $(#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
            async fn $case() {
                let bench = super::$bench().await;
                crate::store::conformance::$group::$case(&bench).await;
            })+
        })+
    };
    ($bench:ident) => {
        crate::store::conformance::conformance! { $bench:
            agent {
                projects_and_sessions_are_kept_as_they_were_made
                a_job_needs_a_session_of_its_owner_in_its_project
                only_so_many_jobs_wait_for_a_project
                one_job_of_a_project_runs_at_a_time
                a_held_back_job_stops_nobody_behind_it
                a_doubled_task_lets_nobody_into_a_busy_project
                who_cannot_run_agents_leaves_them_to_others
                the_end_of_a_job_rings_for_the_next_of_its_project
            }
            append {
                a_lost_lease_writes_nothing_and_harms_nobody
                of_many_jobs_those_with_news_are_told
                two_attempts_of_one_process_are_told_apart
                nothing_follows_the_end
                the_job_knows_what_it_has_done_to_files
                storing_twice_is_storing_once
                sequence_numbers_rise_across_attempts
                a_requeued_job_waits_to_the_millisecond
                a_job_that_cannot_go_back_ends
                a_stopping_worker_costs_a_job_no_attempt
                a_large_batch_is_one_commit
            }
            bell { what_is_committed_is_rung }
            cancel { a_queued_job_ends_at_once a_running_job_is_marked_for_its_worker the_end_is_final }
            claim {
                no_job_is_claimed_twice
                the_oldest_comes_first
                who_has_not_beaten_claims_nothing
                a_job_past_its_deadline_expires_and_the_next_is_claimed
                a_poisoned_job_stops
            }
            conversation {
                a_job_goes_on_from_what_was_said
                a_job_that_waited_goes_on_from_the_answer_before_it
                what_fails_adds_nothing_but_its_cost
                jobs_of_a_session_run_in_the_order_in_which_they_came
                a_session_that_is_busy_refuses_who_will_not_wait
                only_so_many_jobs_wait_for_a_session
                a_history_holds_only_so_much
                a_session_keeps_the_first_that_it_is_told
                what_an_agent_said_is_kept_for_reading
                an_answer_in_many_pieces_is_kept_whole
            }
            files {
                a_file_is_there_once_it_is_whole
                files_are_listed_page_by_page
                an_owners_files_have_a_quota
                what_has_expired_or_was_never_finished_goes
            }
            fleet { the_living_are_told_from_the_dead the_last_models_are_remembered }
            hold {
                who_ran_a_job_of_a_project_holds_it
                a_project_that_is_given_up_is_claimed_within_a_ring
                a_project_in_use_is_not_given_up
                a_project_is_wanted_while_a_job_is_due_and_none_runs
                the_projects_of_a_dead_worker_are_free_after_the_rescue
                a_job_and_its_project_are_taken_from_the_dead_together
                who_beats_again_keeps_its_projects
                who_retires_holds_nothing
                a_project_changes_hands_without_two_at_work_in_it
                a_deleted_project_is_gone_at_once_and_forgotten_when_nobody_holds_it
                a_project_with_jobs_is_not_deleted
            }
            jobs {
                a_row_tells_on_what_terms_a_job_is_taken
                an_owners_jobs_are_listed_page_by_page
                jobs_are_found_by_what_they_are
                a_job_that_has_ended_is_deleted_with_all_but_its_cost
            }
            kept {
                an_answer_is_kept_once_it_is_whole
                answers_are_listed_page_by_page
                what_is_kept_outlives_its_jobs_time
                how_an_answer_is_told_is_known_until_its_job_goes
            }
            keys {
                keys_are_kept_as_they_were_made
                only_so_many_requests_a_minute
                tokens_are_set_aside_and_settled
                a_debt_is_not_paid_by_time_before_it
                every_attempt_is_paid_for
                only_valid_keys_count
                what_was_spent_long_ago_is_forgotten
                one_owner_leaves_room_for_others
                only_so_many_jobs_of_a_key_wait
                many_at_once_get_no_more
                a_key_that_is_gone_asks_for_nothing
                what_is_spent_is_not_spent_again
            }
            tickets {
                a_ticket_is_good_once_and_for_a_moment
                of_many_who_come_with_one_ticket_one_is_let_in
                only_so_many_tickets_of_a_key_are_good
            }
            ledger {
                calls_are_told_as_they_were_made
                calls_are_kept_whoever_holds_the_lease
                sums_are_those_of_the_calls
                any_grouping_adds_up_to_the_same
                a_day_begins_at_midnight
                the_ledger_outlives_its_jobs
            }
            life {
                a_job_is_told_from_beginning_to_end
                a_full_queue_takes_no_more
                events_are_read_from_any_number
                only_old_jobs_are_pruned
            }
            request {
                a_key_stands_for_one_job
                of_many_who_ask_at_once_one_adds_the_job
                the_last_who_leaves_calls_the_job_off
                nobody_waits_for_a_job_in_the_background
            }
            rescue {
                a_silent_job_goes_back
                a_job_that_spoke_ends_with_one_error
                a_job_that_was_called_off_ends_as_cancelled
                nobody_rescues_themselves
                a_late_beat_takes_the_right_to_judge
                who_beats_again_keeps_the_job
                what_a_retired_worker_left_is_taken_up
                the_deadline_passes_without_workers
            }
            sessions {
                lists_are_told_in_pages
                what_is_changed_is_changed
                sessions_are_added_up
                a_session_is_deleted_with_all_that_it_holds
                a_fork_goes_on_by_itself
                an_agents_fork_has_the_transcript
                sessions_that_nobody_writes_to_go_and_projects_never
            }
            share {
                one_keys_many_jobs_starve_nobody
                turns_are_counted_and_not_timed
                what_only_ends_holds_nobody_up
                who_runs_less_comes_first
                a_higher_key_goes_before
                a_key_runs_only_so_many_at_once
            }
            stray {
                unreadable_tasks_are_put_away
                tasks_without_a_job_are_put_away
                doubled_tasks_run_once
                lost_tasks_are_made_again
            }
            terms {
                jobs_are_taken_by_priority_and_then_by_age
                a_job_is_not_taken_before_its_time
                what_comes_due_takes_its_place
                what_is_for_later_does_not_count_as_waiting
                a_session_goes_on_before_what_is_for_later
            }
            transcript {
                a_transcript_is_told_in_order_across_workers
                only_the_holder_of_the_lease_is_remembered
                a_transcript_that_outgrows_its_limit_is_gone_for_good
                what_an_attempt_added_goes_when_its_job_is_run_again
            }
        }
    };
}
pub(super) use conformance;
