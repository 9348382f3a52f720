//! `absent`: classes that no training image has, which is told before training and not found out after it.

use super::pair::Pairs;
use anyhow::Result;
use rayon::prelude::*;
use sncn_train::data::VOID;
use std::time::Instant;

/// Label files that are read before it is looked whether all classes have occurred.
const AT_ONCE: usize = 64;

/// A sentence on the classes of which the label files have no pixel, and on what may be wrong; `None` if all occur, or where labels are
/// no files. Files are read, by all threads, until all classes have occurred, so that large sets are read whole only if one does not.
///
/// # Errors
/// If a label file cannot be read.
pub(crate) fn absent(pairs: &dyn Pairs) -> Result<Option<String>> {
    let (start, classes) = (Instant::now(), &pairs.legend().classes);
    let mut counts = [0u64; 256];
    for first in (0..pairs.len()).step_by(AT_ONCE) {
        let files = (first..pairs.len().min(first + AT_ONCE)).into_par_iter().map(|index| pairs.label_file(index));
        let Some(files) = files.collect::<Result<Option<Vec<_>>>>()? else { return Ok(None) };
        files.iter().flatten().for_each(|&class| counts[usize::from(class)] += 1);
        if counts[..classes.len()].iter().all(|&count| count > 0) {
            return Ok(None);
        }
    }
    let names: Vec<String> =
        classes.iter().zip(&counts).filter(|(_, count)| **count == 0).map(|(name, _)| format!("{name:?}")).collect();
    let (plural, it) = if names.len() == 1 { ("", "it") } else { ("es", "them") };
    let mut text = format!(
        "no pixel of the class{plural} {} is in the labels of the {} training images (read in {:.1} s): the network cannot learn {it}.",
        names.join(", "),
        pairs.len(),
        start.elapsed().as_secs_f64()
    );
    let (void, all) = (counts[VOID as usize], counts.iter().sum::<u64>());
    if void > 0 {
        text += &format!(" {:.1} % of their pixels are void", 100. * void as f64 / all as f64);
        if !pairs.legend().uses_255() {
            let values = if classes.len() == 2 { "[0, 255]" } else { "[0, 1, …, 255]" };
            text += &format!(
                ", as 255 is. If 255 stands for a class here, write labels.json beside classes.txt with the value of each of its lines: \
                 {{\"values\": {values}}}."
            );
        } else {
            text.push('.');
        }
    }
    Ok(Some(text))
}
