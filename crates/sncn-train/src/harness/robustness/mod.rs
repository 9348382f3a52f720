//! `robustness`: how a model's answers hold where examples are shifted. What is measured is [`Measured`], a model with its examples, or
//! [`Copies`], to which any program answers; what is done with it are the [`Outputs`] of the command.

mod about;
mod copies;
pub mod given;
mod kept;
mod outputs;
mod page;
mod predictions;
mod rank;
mod samples;
mod shifts;

pub use about::About;
pub use copies::{Copied, Copies};
pub use kept::Kept;
pub use outputs::Outputs;
pub use page::{Samples, plain};
pub use rank::{Line, Published};
pub use samples::{Answered, Changed};
pub use shifts::{CHANGED, Found, Measured, Shifts, run, split};
