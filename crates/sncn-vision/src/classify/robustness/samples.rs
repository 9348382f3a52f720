//! Images with what corruptions make of them and of the answers to them, for a page.

use crate::picture::Photo;
use crate::preprocess::thumbnail;
use anyhow::Result;
use sncn_record::task::CLASSIFY;
use sncn_train::harness::robustness::{Changed, Samples, plain};

/// The longer side of the images on a page.
const SIDE: usize = 112;

/// Shows the images whose answers changed; `shown` gives the name of one, itself and what its corruption makes of it.
///
/// # Errors
/// If `shown` fails, or an image has no pixels.
pub(super) fn samples(
    classes: &[String],
    (changed, severity): (&[Changed<'_>], usize),
    shown: impl Fn(&Changed<'_>) -> Result<(String, Photo, Photo)>,
) -> Result<Samples> {
    let heads = ["corruption", "class", "clean", "answer", "corrupted", "answer to it", "image"];
    let mut samples = Samples::of_changes(&CLASSIFY, severity, &heads);
    for (index, one) in changed.iter().enumerate() {
        let (name, clean, corrupted) = shown(one)?;
        let mut image = |what: &str, photo: &Photo| -> Result<String> {
            let file = format!("{index}-{what}.png");
            samples.files.push((file.clone(), thumbnail(photo, SIDE)?));
            Ok(format!("![]({file})"))
        };
        let (clean, corrupted) = (image("clean", &clean)?, image("corrupted", &corrupted)?);
        let class = |class: u32| plain(classes.get(class as usize).map_or("", String::as_str));
        let [label, before, after] = one.classes.map(class);
        samples.grid.push(vec![one.shift.to_string(), label, clean, before, corrupted, after, plain(&name)]);
    }
    Ok(samples)
}
