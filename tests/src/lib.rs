//! The parts that Drover's end-to-end tests and benchmarks are made of: a scripted provider (`upstream`), a
//! scripted CLI for load and faults (`scripted`), real processes (`harness`), a client that sees raw
//! server-sent events (`client`) and one of `/v1/ws` (`websocket`), what it makes of chats (`chat`), agent jobs put
//! into the store (`desk`), chance that can be played again (`dice`), clients in other languages (`foreign`), a look into
//! the database (`ledger`); and the benchmarks themselves (`bench`).

#![allow(clippy::missing_panics_doc, reason = "what a test leans on panics where the test would have failed")]

pub mod bench;
pub mod chat;
pub mod client;
pub mod desk;
pub mod dice;
pub mod foreign;
pub mod fuzz;
pub mod harness;
pub mod ledger;
pub mod scripted;
pub mod upstream;
pub mod websocket;
