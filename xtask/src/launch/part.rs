//! `Part`: which cells of a table a command makes.

use anyhow::{Result, bail, ensure};
use std::env::VarError;

/// Where the number of a part comes from if it is not given: the variable, and the number of its first part.
const NUMBERS: [(&str, usize); 2] = [("SLURM_ARRAY_TASK_ID", 1), ("JOB_COMPLETION_INDEX", 0)];

/// Which cells of a table a command makes.
#[derive(clap::Args, Clone, Debug, Default)]
pub(crate) struct Part {
    /// Only these cells, by the numbers that --dry-run shows; without a number that of the array job (`SLURM_ARRAY_TASK_ID`, or
    /// `JOB_COMPLETION_INDEX` + 1).
    #[arg(long, value_name = "K", value_delimiter = ',', num_args = 0..=1, conflicts_with = "shard")]
    cell: Option<Vec<usize>>,
    /// The I-th of N parts of about the same size; `--shard N` takes I from the array job.
    #[arg(long, value_name = "I/N")]
    shard: Option<String>,
}

impl Part {
    /// Whether these are all cells.
    pub(crate) fn is_all(&self) -> bool {
        self.cell.is_none() && self.shard.is_none()
    }

    /// The indices of the cells among `groups`, each of which has the indices of cells that share a network.
    ///
    /// # Errors
    /// Where a number is none of a cell or part, or none is given and none found in the environment.
    pub(crate) fn of(&self, groups: &[Vec<usize>]) -> Result<Vec<usize>> {
        let count: usize = groups.iter().map(Vec::len).sum();
        let mut chosen: Vec<usize> = match (&self.cell, &self.shard) {
            (Some(numbers), _) => {
                let numbers =
                    if numbers.is_empty() { vec![numbered("--cell", &|name| std::env::var(name))?] } else { numbers.clone() };
                if let Some(number) = numbers.iter().find(|number| !(1..=count).contains(*number)) {
                    bail!("--cell {number}: the table has cells 1 to {count}, as --dry-run shows them")
                }
                numbers.into_iter().map(|number| number - 1).collect()
            }
            (None, Some(shard)) => {
                let (part, parts) = read(shard, &|name| std::env::var(name))?;
                groups.iter().skip(part - 1).step_by(parts).flatten().copied().collect()
            }
            (None, None) => (0..count).collect(),
        };
        chosen.sort_unstable();
        chosen.dedup();
        Ok(chosen)
    }
}

type Environment<'a> = &'a dyn Fn(&str) -> Result<String, VarError>;

/// The number of the part that this process is, from 1.
fn numbered(option: &str, environment: Environment<'_>) -> Result<usize> {
    for (name, first) in NUMBERS {
        if let Ok(value) = environment(name) {
            let Some(number) = value.parse::<usize>().ok().and_then(|number| (number + 1).checked_sub(first)) else {
                bail!("{name} is {value:?}; a number from {first} is wanted for {option} without one")
            };
            return Ok(number);
        }
    }
    bail!("{option} without a number: neither {} nor {} is set; give the number", NUMBERS[0].0, NUMBERS[1].0)
}

/// The number of a part and how many there are.
fn read(shard: &str, environment: Environment<'_>) -> Result<(usize, usize)> {
    let (part, parts) = match shard.split_once('/') {
        Some((part, parts)) => (part.parse().ok(), parts),
        None => (Some(numbered("--shard", environment)?), shard),
    };
    let found = part.zip(parts.parse::<usize>().ok());
    let Some((part, parts)) = found else { bail!("--shard {shard}: two numbers are wanted, as in --shard 2/5") };
    ensure!(parts > 0 && (1..=parts).contains(&part), "--shard {part}/{parts}: parts 1 to {parts} are accepted");
    Ok((part, parts))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(cell: Option<&[usize]>, shard: Option<&str>) -> Part {
        Part { cell: cell.map(<[usize]>::to_vec), shard: shard.map(str::to_string) }
    }

    #[test]
    fn parts_are_all_cells_once_and_keep_those_of_a_network_together() -> Result<()> {
        let groups = vec![vec![0, 3], vec![1], vec![2, 4, 5], vec![6]];
        assert_eq!(part(None, None).of(&groups)?, [0, 1, 2, 3, 4, 5, 6]);
        assert_eq!(part(Some(&[7, 2, 2]), None).of(&groups)?, [1, 6]);
        for parts in 1..6 {
            let mut seen = Vec::new();
            for number in 1..=parts {
                let chosen = part(None, Some(&format!("{number}/{parts}"))).of(&groups)?;
                assert!(groups.iter().all(|group| group.iter().all(|cell| chosen.contains(cell) == chosen.contains(&group[0]))));
                seen.extend(chosen);
            }
            seen.sort_unstable();
            assert_eq!(seen, [0, 1, 2, 3, 4, 5, 6], "{parts} parts");
        }
        Ok(())
    }

    #[test]
    fn the_number_of_an_array_job_stands_in() -> Result<()> {
        let slurm = |name: &str| if name == "SLURM_ARRAY_TASK_ID" { Ok("3".to_string()) } else { Err(VarError::NotPresent) };
        let indexed = |name: &str| if name == "JOB_COMPLETION_INDEX" { Ok("0".to_string()) } else { Err(VarError::NotPresent) };
        assert_eq!((numbered("--cell", &slurm)?, numbered("--cell", &indexed)?), (3, 1));
        assert_eq!((read("5", &slurm)?, read("2/4", &slurm)?), ((3, 5), (2, 4)));
        Ok(())
    }

    #[test]
    fn numbers_that_are_none_are_refused_with_what_is_accepted() {
        let none = |_: &str| Err(VarError::NotPresent);
        let groups = vec![vec![0], vec![1]];
        for (error, wanted) in [
            (part(Some(&[3]), None).of(&groups).unwrap_err(), "the table has cells 1 to 2"),
            (part(Some(&[0]), None).of(&groups).unwrap_err(), "the table has cells 1 to 2"),
            (read("3/2", &none).unwrap_err(), "parts 1 to 2 are accepted"),
            (read("1/0", &none).unwrap_err(), "parts 1 to 0"),
            (read("a/b", &none).unwrap_err(), "as in --shard 2/5"),
            (read("4", &none).unwrap_err(), "SLURM_ARRAY_TASK_ID"),
            (numbered("--cell", &|_| Ok("x".to_string())).unwrap_err(), "SLURM_ARRAY_TASK_ID is \"x\""),
        ] {
            assert!(error.to_string().contains(wanted), "{error}");
        }
    }
}
