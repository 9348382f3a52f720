//! The networks of texts, their tables, and `sncn-sentiment` as its users run it.

mod networks;
mod pretrained;
mod sentiment_cli;
mod tables;
