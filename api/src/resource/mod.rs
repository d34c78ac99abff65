//! What requests about Drover's own resources share: bodies, queries and pages.

pub(crate) mod body;
mod fields;
pub(crate) mod page;
pub(crate) mod parameters;

pub(crate) use self::fields::Fields;
