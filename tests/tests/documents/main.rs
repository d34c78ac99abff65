//! The documents and the source against each other: examples run, tables agree, rules of the architecture hold.

mod architecture;
mod examples;
mod names;
mod tables;
