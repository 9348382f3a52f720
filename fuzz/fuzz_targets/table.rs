//! Any text is a table whose rows are all fully specified, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_train::harness::{Table, run};
use sncn_vision::classify::Classify;

fuzz_target!(|text: &str| {
    let Ok(table) = Table::<Classify>::parse(text) else { return };
    for one in &table.runs {
        assert_eq!(table.row(&one.name).unwrap(), one);
        let resolved = one.resolved().unwrap();
        assert_eq!(run::read::<Classify>(resolved.clone()).unwrap().resolved().unwrap(), resolved);
    }
});
