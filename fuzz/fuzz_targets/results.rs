//! The reader of results: any text is a header and numbers, which are written as they were read, or an error.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_record::Results;

fuzz_target!(|text: &str| {
    let Ok(results) = Results::parse(text) else { return };
    let header = serde_json::to_string(&results.header).unwrap();
    let lines = results.measurements.iter().map(|one| serde_json::to_string(one).unwrap());
    let closing = format!("{{\"complete\":true,\"measurements\":{}}}", results.measurements.len());
    let written = std::iter::once(header).chain(lines).chain([closing]).collect::<Vec<_>>().join("\n");
    let again = Results::parse(&written).unwrap();
    assert_eq!(again.measurements.len(), results.measurements.len());
});
