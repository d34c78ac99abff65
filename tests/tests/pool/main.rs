//! The worker's pool of real CLI processes: who gets which, what is kept, what is put away.

mod claims;
mod doubts;
mod fleet;
mod leaks;
