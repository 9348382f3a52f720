//! Where the numbers of a report come from: seeds, selection, sizes, machines, commits, versions, notes.

use crate::sheet::{Sheet, distinct};
use sncn_record::results::Header;
use sncn_record::{Build, Run};

/// The list at the end of a report.
pub(crate) fn lines(sheet: &Sheet) -> String {
    let all: Vec<&Header> = sheet.rows().flat_map(|(_, results)| results).map(|results| &results.header).collect();
    let said =
        |of: &dyn Fn(&Header) -> String| distinct(all.iter().map(|header| of(header)).filter(|text| !text.is_empty())).join("; ");
    let mut text = String::new();
    let mut line = |name: &str, value: String| {
        if !value.is_empty() {
            text += &format!("- {name}: {value}\n");
        }
    };
    line("seeds", seeds(sheet));
    line("still missing of this table", missing(sheet));
    line("selection", said(&|header| selection(&header.selection)));
    // results that were made otherwise are left out
    let measured = sheet.rows().filter(|(_, results)| !results.is_empty());
    line("training", distinct(measured.map(|(row, _)| training(&row.run, sheet.table.task().examples))).join("; "));
    line(&format!("test {}", sheet.table.task().counted), tests(sheet));
    line("machine", said(&|header| machine(header)));
    line("commit", said(&|header| commit(&header.built)));
    line("trained at commit", said(&|header| if header.trained.is_unknown() { String::new() } else { commit(&header.trained) }));
    line("program", said(&|header| format!("sncn {}", header.version)));
    for note in distinct(all.iter().flat_map(|header| &header.notes)) {
        line("note", note.clone());
    }
    for (row, _) in sheet.rows() {
        if !row.note.is_empty() {
            line(&format!("note on {}", row.name), row.note.clone());
        }
    }
    for reason in &sheet.collected.left_out {
        line("left out", reason.clone());
    }
    text
}

fn selection(name: &str) -> String {
    match name {
        "last" => "last checkpoint".to_string(),
        "validation" => "the epoch with the best score on the validation set".to_string(),
        other => other.to_string(),
    }
}

/// The seeds of every row, or of each where they differ.
fn seeds(sheet: &Sheet) -> String {
    let of_row = sheet.rows().map(|(row, results)| {
        let seeds: Vec<String> = results.iter().map(|results| results.header.seed.to_string()).collect();
        (row.name.as_str(), if seeds.is_empty() { "none yet".to_string() } else { seeds.join(", ") })
    });
    let of_row: Vec<(&str, String)> = of_row.collect();
    match distinct(of_row.iter().map(|(_, seeds)| seeds)).as_slice() {
        [all] => (*all).clone(),
        _ => of_row.iter().map(|(row, seeds)| format!("{row}: {seeds}")).collect::<Vec<_>>().join("; "),
    }
}

/// Cells of the table that have no results.
fn missing(sheet: &Sheet) -> String {
    let of_row = sheet.rows().filter_map(|(row, results)| {
        let has = |seed: u64| results.iter().any(|results| results.header.seed == seed);
        let lacking: Vec<String> = sheet.table.seeds.iter().filter(|&&seed| !has(seed)).map(u64::to_string).collect();
        (!lacking.is_empty()).then(|| format!("{}, seed {}", row.name, lacking.join(", ")))
    });
    of_row.collect::<Vec<_>>().join("; ")
}

fn training(run: &Run, examples: &str) -> String {
    let Run { backbone, epochs, train: set, .. } = run;
    let part = match run.train_limit {
        Some(limit) => format!("the first {limit} {examples} of {set}"),
        None => format!("all {examples} of {set}"),
    };
    format!("{backbone}, {epochs} epoch{} of {part}", if *epochs == 1 { "" } else { "s" })
}

fn tests(sheet: &Sheet) -> String {
    let sizes = sheet.sets.iter().filter_map(|set| {
        let found =
            sheet.rows().flat_map(|(_, results)| results).filter_map(|results| results.examples(set, sheet.table.task().metric));
        let found: Vec<String> = distinct(found).iter().map(usize::to_string).collect();
        let each = if sheet.has_corruptions(set) { " in each corruption and severity" } else { "" };
        (!found.is_empty()).then(|| format!("{set} n = {}{each}", found.join(" or ")))
    });
    sizes.collect::<Vec<_>>().join("; ")
}

/// Where a result was made.
pub(crate) fn machine(header: &Header) -> String {
    format!("{} ({} logical processors), {}", header.machine.cpu, header.machine.cores, header.machine.os)
}

/// The source that a program was built from.
pub(crate) fn commit(built: &Build) -> String {
    let name = built.commit.as_deref().map_or("unknown", |commit| commit.get(..12).unwrap_or(commit));
    format!("{name}{}", if built.dirty { " with changes that are not committed" } else { "" })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::tests::{collected, table};

    #[test]
    fn everything_is_said_once() {
        let (table, mut collected) = (table(), collected());
        collected.left_out.push("results/t/x.jsonl: cut short".to_string());
        let text = lines(&Sheet::new(&table, &collected));
        let wanted = "- seeds: base: 0, 1; good: 0, 1; later: none yet
- still missing of this table: later, seed 0, 1
- selection: last checkpoint
- training: net, 2 epochs of the first 100 images of s
- test images: s n = 50; s-c n = 50 in each corruption and severity
- machine: A CPU (2 logical processors), linux x86_64
- commit: 0123456789ab with changes that are not committed
- program: sncn 0.1.0
- note: frost: generated textures
- left out: results/t/x.jsonl: cut short
";
        assert_eq!(text, wanted);
    }
}
