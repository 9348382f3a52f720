//! Published results, beside which a measurement of the same protocol is ranked.

use super::protocol::Protocol;
use crate::corruption::benchmark;
use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::Value;
use sncn_record::corruption_error::MCE_ALEXNET;
use sncn_train::harness::robustness::{Line, Published};

/// Published results of one protocol.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Group {
    /// Where they stand.
    source: String,
    /// What they are: the mean error, or the mCE divided by AlexNet's.
    metric: String,
    protocol: Told,
    results: Vec<Entry>,
}

/// What is told of the protocol of published results; the corruptions are the benchmark's.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Told {
    data: String,
    images: usize,
    corrupt: Value,
    severities: Vec<usize>,
    severity_table: String,
    frost: String,
    /// Of the images, where they are known here.
    sha256: Option<String>,
}

/// One of them, in percent.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Entry {
    name: String,
    value: f64,
    clean: Option<f64>,
}

const PUBLISHED: &str = include_str!("published.json");

fn published() -> Result<Vec<Group>> {
    serde_json::from_str(PUBLISHED).context("the published results of this program")
}

/// The published results of a protocol's data, if there are some.
///
/// # Errors
/// If they were made under another protocol: names the key, and both values.
pub(super) fn ranking(protocol: &Protocol) -> Result<Published> {
    let is_of = |group: &Group| match &group.protocol.sha256 {
        Some(sha256) => *sha256 == protocol.sha256 || group.protocol.data == protocol.data,
        None => group.protocol.data == protocol.data,
    };
    let all = published()?;
    let known = all.iter().map(|group| group.protocol.data.clone()).collect();
    let Some(group) = all.iter().find(|group| is_of(group)) else { return Ok(Published { known, ..Published::default() }) };
    group.check(protocol)?;
    let metric = (group.metric == MCE_ALEXNET).then_some((MCE_ALEXNET, "mCE (AlexNet) %"));
    let line = |entry: &Entry| {
        let Entry { name, value, clean } = entry;
        Line { name: name.clone(), clean: *clean, value: *value, source: group.source.clone() }
    };
    Ok(Published { metric, lines: group.results.iter().map(line).collect(), known })
}

impl Group {
    /// Refuses a measurement of another protocol.
    fn check(&self, own: &Protocol) -> Result<()> {
        let Told { data, images, corrupt, severities, severity_table, frost, sha256 } = &self.protocol;
        let benchmark: Vec<&str> = benchmark().collect();
        let own_corrupt = serde_json::to_value(own.corrupt)?;
        let differs: [(&str, bool, String, String); 7] = [
            (
                "sha256",
                sha256.as_ref().is_some_and(|sha256| *sha256 != own.sha256),
                own.sha256.clone(),
                sha256.clone().unwrap_or_default(),
            ),
            ("images", *images != own.images, own.images.to_string(), images.to_string()),
            ("corrupt", *corrupt != own_corrupt, own_corrupt.to_string(), corrupt.to_string()),
            ("corruptions", benchmark != own.corruptions, own.corruptions.join(", "), "the 15 of the benchmark".to_string()),
            ("severities", *severities != own.severities, format!("{:?}", own.severities), format!("{severities:?}")),
            ("severity_table", *severity_table != own.severity_table, own.severity_table.clone(), severity_table.clone()),
            ("frost", *frost != own.frost, own.frost.clone(), format!("{frost} (--frost-dir names their folder)")),
        ];
        for (key, differs, own, theirs) in differs {
            ensure!(
                !differs,
                "--rank: not to be compared with the published results on {data}: {key} is {own} here, and {theirs} there"
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::examples::Corrupt;

    #[test]
    fn published_results_are_compared_with_their_own_protocol_alone() -> Result<()> {
        let all = published()?;
        let cifar = all.iter().find(|group| group.protocol.data == "cifar10").context("cifar10")?;
        let own = Protocol {
            data: "cifar10".to_string(),
            images: 10_000,
            sha256: cifar.protocol.sha256.clone().unwrap_or_default(),
            corrupt: Corrupt::Fitted,
            corruptions: benchmark().map(str::to_string).collect(),
            severities: (1..=5).collect(),
            severity_table: "cifar".to_string(),
            frost: "photographs".to_string(),
            seed: 3,
            input: Value::Null,
        };
        cifar.check(&own)?;
        let refused = |change: fn(&mut Protocol)| {
            let mut other = own.clone();
            change(&mut other);
            cifar.check(&other).unwrap_err().to_string()
        };
        assert!(
            refused(|own| own.frost = "generated textures".to_string())
                .contains("frost is generated textures here, and photographs")
        );
        assert!(refused(|own| own.images = 500).contains("images is 500 here, and 10000 there"));
        assert!(refused(|own| own.severities = vec![5]).contains("severities is [5] here"));
        assert!(refused(|own| own.corrupt = Corrupt::Original).contains("corrupt is \"original\" here, and \"fitted\""));
        assert!(refused(|own| _ = own.corruptions.pop()).contains("corruptions"));
        assert!(refused(|own| own.sha256.clear()).contains("sha256"));
        // every number is a percentage, and every row occurs once
        for group in &all {
            let mut names: Vec<&str> = group.results.iter().map(|entry| entry.name.as_str()).collect();
            names.sort_unstable();
            names.dedup();
            assert!(names.len() == group.results.len() && group.results.iter().all(|entry| (5. ..100.).contains(&entry.value)));
        }
        Ok(())
    }
}
