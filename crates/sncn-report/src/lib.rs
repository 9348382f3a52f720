//! Reports: tables and drawings, and the page that holds them.
//!
//! ```
//! use sncn_report::{Grid, page};
//!
//! let mut grid = Grid::new(vec!["row".to_string(), "error %".to_string()]);
//! grid.push(vec!["baseline".to_string(), "23.4".to_string()]);
//! let html = page("A report", &format!("# A report\n\n{}", grid.markdown()), &[]);
//! assert!(html.starts_with("<!doctype html>") && html.contains("23.4</td>"));
//! ```

mod chart;
mod curves;
mod draw;
mod grid;
mod heat;
mod page;
mod reliability;

pub use chart::{Bar, Chart};
pub use curves::Curves;
pub use draw::{LETTER, line, number, open, rectangle, tick, write};
pub use grid::Grid;
pub use heat::HeatMap;
pub use page::{File, page};
pub use reliability::{Bin, Panel, Reliability};
