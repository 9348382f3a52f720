//! Which examples show what shifts do.

use std::collections::HashSet;

/// Labels of examples and the answers to them as they are.
#[derive(Clone, Copy, Debug)]
pub struct Answered<'a> {
    /// The labels.
    pub labels: &'a [u32],
    /// The answers to the clean examples.
    pub clean: &'a [u32],
}

/// An example whose answer a shift changes.
#[derive(Clone, Copy, Debug)]
pub struct Changed<'a> {
    /// The shift.
    pub shift: &'a str,
    /// The number of the example.
    pub index: usize,
    /// Its label, the answer to it as it is, and under the shift.
    pub classes: [u32; 3],
}

impl Answered<'_> {
    /// For each shift, given with its answers, an example whose answer it changes, where there is one: the first whose answer was right and
    /// is wrong, or else the first whose answer changed; of those that were not chosen before, if there is one.
    pub fn changed<'s, 'a>(&self, shifted: impl Iterator<Item = (&'s str, &'a [u32])>) -> Vec<Changed<'s>> {
        let mut chosen = HashSet::new();
        let telling = |(shift, answers): (&'s str, &'a [u32])| {
            let index = choose(&chosen, self.labels, self.clean, answers)?;
            chosen.insert(index);
            Some(Changed { shift, index, classes: [self.labels[index], self.clean[index], answers[index]] })
        };
        shifted.filter_map(telling).collect()
    }
}

fn choose(before: &HashSet<usize>, labels: &[u32], clean: &[u32], answers: &[u32]) -> Option<usize> {
    let changed = |index: &usize| clean[*index] != answers[*index];
    let all = || (0..labels.len().min(clean.len()).min(answers.len())).filter(changed);
    let right = || all().filter(|&index| clean[index] == labels[index]);
    let is_new = |index: &usize| !before.contains(index);
    right().find(is_new).or_else(|| right().next()).or_else(|| all().find(is_new)).or_else(|| all().next())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_right_answer_that_becomes_wrong_is_shown() {
        let shown = |labels: &[u32], clean: &[u32], answers: &[&[u32]]| -> Vec<usize> {
            let found = Answered { labels, clean }.changed(answers.iter().map(|answers| ("fog", *answers)));
            found.iter().map(|changed| changed.index).collect()
        };
        assert_eq!(shown(&[0, 1, 1], &[1, 1, 1], &[&[0, 1, 0], &[0, 1, 1]]), [2, 0]);
        assert!(shown(&[0, 1], &[0, 1], &[&[0, 1]]).is_empty());
        // another one than before, unless there is no other
        assert_eq!(shown(&[1, 1, 1], &[1, 1, 1], &[&[0, 0, 0], &[0, 0, 0]]), [0, 1]);
        assert_eq!(shown(&[1], &[1], &[&[0], &[0]]), [0, 0]);
    }
}
