//! The networks of texts, their tables, and `sncn-sentiment` as its users run it.

mod networks;
mod pretrained;
