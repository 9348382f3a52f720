//! The layers and recorded bodies, against their reference implementations and finite differences.

mod evaluation;
mod joins;
mod recorded;
mod reference;
mod registry;
mod rules;
mod spans;
mod stats;
mod test_time;
mod tokens;
