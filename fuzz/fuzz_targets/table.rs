//! Any text is a table whose rows are all fully specified, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_train::harness::{Table, table};
use sncn_vision::classify::Classify;

fuzz_target!(|text: &str| {
    let Ok(all) = Table::<Classify>::parse(text) else { return };
    for one in &all.runs {
        assert_eq!(all.row(&one.name).unwrap(), one);
        let resolved = one.resolved().unwrap();
        assert_eq!(table::read::<Classify>(resolved.clone()).unwrap().resolved().unwrap(), resolved);
    }
});
