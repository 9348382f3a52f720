//! Any text is a table whose rows are all fully specified, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_train::harness::{Run, Table};

fuzz_target!(|text: &str| {
    let Ok(table) = Table::parse(text) else { return };
    for run in &table.runs {
        assert_eq!(table.row(&run.name).unwrap(), run);
        assert_eq!(Run::read(run.resolved().unwrap()).unwrap().resolved().unwrap(), run.resolved().unwrap());
    }
});
