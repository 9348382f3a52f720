//! The networks of texts.

mod networks;
