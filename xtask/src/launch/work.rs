//! `Work`: the cells that are to be made, by the networks that they need.

use crate::table::{Table, safe};
use serde_json::Value;
use sncn_record::Cell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The cells that are to be made, and where.
pub(crate) struct Work<'a> {
    /// The program of the table's task.
    pub(crate) program: &'a Path,
    pub(crate) table: &'a Table,
    /// Folder of what cells say, and of what is handed to a cluster.
    pub(crate) logs: &'a Path,
    /// All cells of the table, in its order.
    pub(crate) cells: &'a [Cell],
    /// The indices of those to make; cells that share a network are in one group.
    pub(crate) groups: Vec<Vec<usize>>,
}

impl Work<'_> {
    /// What a message calls a cell.
    pub(crate) fn name(&self, index: usize) -> String {
        name(self.cells, index)
    }
}

/// The file of what a cell says that is made beside others.
pub(super) fn log_name(cell: &Cell) -> String {
    format!("{}-seed-{}.log", safe(&cell.row), cell.seed)
}

/// What a message calls a cell.
pub(crate) fn name(cells: &[Cell], index: usize) -> String {
    let cell = &cells[index];
    format!("[{}/{}] {}, seed {}", index + 1, cells.len(), cell.row, cell.seed)
}

/// The indices of cells by the network that they train or test, in the order of its first cell.
pub(crate) fn groups(networks: &[PathBuf]) -> Vec<Vec<usize>> {
    let mut places: BTreeMap<&Path, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<usize>> = Vec::new();
    for (index, network) in networks.iter().enumerate() {
        let place = *places.entry(network).or_insert(groups.len());
        if place == groups.len() {
            groups.push(Vec::new());
        }
        groups[place].push(index);
    }
    groups
}

/// How long a cell takes, relative to others of its table, by its own settings: examples that pass through the network, times its size where its
/// name says it (`wrn40_2`).
fn cost(run: &Value) -> f64 {
    let number = |key: &str, usual: f64| run[key].as_f64().unwrap_or(usual);
    let views = match run["objective"]["kind"].as_str() {
        Some("jensen_shannon" | "adversarial") => 3.,
        Some("consistency") => 2.,
        _ => 1.,
    };
    let name = run["backbone"].as_str().unwrap_or_default();
    let sizes = name.split(|c: char| !c.is_ascii_digit()).filter_map(|part| part.parse::<f64>().ok());
    number("epochs", 1.) * number("train_limit", 1.) * views * sizes.product::<f64>().max(1.)
}

/// The first of these groups are those that take longest.
pub(super) fn longest_first(cells: &[Cell], groups: &mut [Vec<usize>]) {
    let total = |group: &Vec<usize>| group.iter().map(|&index| cost(&cells[index].run)).fold(0., f64::max);
    groups.sort_by(|one, two| total(two).total_cmp(&total(one)));
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn cells_of_one_network_are_together_and_the_longest_first() {
        let networks = ["a", "b", "a", "c"].map(PathBuf::from);
        let mut groups = groups(&networks);
        assert_eq!(groups, [vec![0, 2], vec![1], vec![3]]);
        let run = |epochs: usize, backbone: &str, kind: &str| json!({"epochs": epochs, "backbone": backbone, "objective": {"kind": kind}});
        let runs =
            [run(2, "wrn10_1", "plain"), run(3, "wrn10_1", "plain"), run(2, "wrn10_1", "plain"), run(2, "wrn16_2", "plain")];
        let cells = runs.map(|run| Cell { row: String::new(), seed: 0, run });
        longest_first(&cells, &mut groups);
        assert_eq!(groups, [vec![3], vec![1], vec![0, 2]]);
        assert!(cost(&run(2, "wrn10_1", "jensen_shannon")) > cost(&run(2, "wrn10_1", "consistency")));
    }
}
