//! Photographs of any size in folders or tables, as people and ImageNet have them.

mod check;
mod files;
mod layout;
mod parts;
mod paths;
mod shifted;
mod split;

pub(crate) use check::{Check, Seen};
pub use parts::{Parts, Validation};
pub(crate) use shifted::{Shifted, shifted};
pub(crate) use split::{class_folders, open};
