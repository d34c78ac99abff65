//! Attempts to get out of a slot, with the walls up and with each of them taken away.

mod attempts;
mod cli;
mod each_wall;
mod roles;
mod shell;
mod start;
mod world;
