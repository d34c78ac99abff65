//! Several providers behind one name: failover, routing, keys, what it costs, and what becomes of all that when
//! one of them dies.

mod death;
mod failures;
mod login;
mod matrix;
mod money;
mod reload;
mod settings;
mod shapes;
mod tls;
