//! The label images of any program, for copies that `corrupt` wrote.

use super::protocol::{Data, Protocol, Shown, below, of};
use crate::classify::corrupt::{AUTO, Manifest};
use crate::classify::digest::of_image;
use crate::corruption::Dims;
use crate::dataset::pairs::{Pair, Pairs, labels};
use crate::picture::{self, Limit};
use anyhow::{Context, Result, ensure};
use rayon::prelude::*;
use serde_json::json;
use sncn_record::Task;
use sncn_record::task::SEGMENT;
use sncn_train::confusion::Confusion;
use sncn_train::data::VOID;
use sncn_train::digest::{of_example, of_set};
use sncn_train::harness::Observe;
use sncn_train::harness::robustness::given::called;
use sncn_train::harness::robustness::{About, Found, Measured, Shifts};
use sncn_train::text_file::listed;
use std::path::{Path, PathBuf};

/// Label images, with the set whose images were corrupted.
pub(super) struct Labelled {
    data: Data,
    protocol: Protocol,
    /// The folder of the copies, and that of the label images.
    images: PathBuf,
    predictions: PathBuf,
    /// The paths of the copies below both, part after part.
    paths: Vec<String>,
    /// SHA-256 over the files of labels.
    sha256: String,
}

impl Labelled {
    /// The label images in `predictions` for the copies in `images`, which `corrupt --clean` wrote of the images of a set.
    ///
    /// # Errors
    /// If the copies are of other images, or label images are missing.
    pub(super) fn open(data: Data, images: &Path, predictions: &Path) -> Result<Self> {
        let (manifest, copies) = Manifest::read(images)?;
        let at = images.display();
        ensure!(manifest.clean, "{at}: there are no clean copies: write the folder again with sncn-classify corrupt --clean");
        let pairs = &data.pairs;
        ensure!(
            manifest.images == pairs.len(),
            "{at}: copies of {} images, and {} has {}: corrupt the images of the set",
            manifest.images,
            data.name,
            pairs.len()
        );
        for (index, copy) in copies.iter().take(pairs.len()).enumerate() {
            let stem = Path::new(&copy.path).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
            ensure!(
                stem == pairs.name(index),
                "{at}: copy {index} is {stem}, and image {index} of {} {}",
                data.name,
                pairs.name(index)
            );
        }
        let each = (0..pairs.len()).into_par_iter().zip(&copies).map(|(index, copy)| -> Result<[u8; 32]> {
            let pair = pairs.read(index)?;
            Ok(of_image(&copy.label, Dims { height: pair.height, width: pair.width }, &pair.image))
        });
        ensure!(
            of_set(each.collect::<Result<_>>()?) == manifest.sha256,
            "{at}: copies of other images than those of {}: their digests differ",
            data.name
        );
        let paths: Vec<String> = copies.into_iter().map(|copy| copy.path).collect();
        let missing: Vec<&str> = paths.iter().filter(|path| !predictions.join(path).is_file()).map(String::as_str).collect();
        ensure!(
            missing.is_empty(),
            "{}: no label image for {} of {} copies: {}",
            predictions.display(),
            missing.len(),
            paths.len(),
            listed(&missing)
        );
        let is_auto = manifest.severity_table == AUTO;
        let protocol = Protocol {
            data: data.name.clone(),
            images: manifest.images,
            sha256: data.sha256.clone(),
            corruptions: manifest.corruptions,
            severities: manifest.severities,
            severity_table: if is_auto { data.table.name().to_string() } else { manifest.severity_table },
            frost: manifest.frost,
            seed: manifest.seed,
        };
        let each = paths.par_iter().map(|path| Ok(of_example(&[path.as_bytes(), &below(predictions, path)?])));
        let sha256 = of_set(each.collect::<Result<_>>()?);
        Ok(Self { sha256, data, protocol, images: images.to_path_buf(), predictions: predictions.to_path_buf(), paths })
    }

    /// The path of an image of a part.
    fn path(&self, index: usize, part: (&str, usize)) -> Result<&str> {
        let shifts = self.protocol.shifts();
        let at = shifts.parts().position(|known| known == part).with_context(|| format!("{}: no copies", part.0))?;
        self.paths.get(at * shifts.examples + index).map(String::as_str).context("a copy that is not listed")
    }

    /// The labels that were answered to an image of a part, as many as it has pixels.
    fn answered(&self, index: usize, part: (&str, usize), pair: &Pair) -> Result<Vec<u32>> {
        let path = self.path(index, part)?;
        let at = || self.predictions.join(path).display().to_string();
        let (height, width, classes) =
            labels::decode(&below(&self.predictions, path)?, self.data.pairs.legend()).with_context(at)?;
        ensure!(
            (height, width) == (pair.height, pair.width),
            "{}: {width} × {height} labels for an image of {} × {} pixels",
            at(),
            pair.width,
            pair.height
        );
        Ok(classes.into_iter().map(u32::from).collect())
    }
}

impl Measured for Labelled {
    fn task(&self) -> &'static Task {
        &SEGMENT
    }

    fn shifts(&self) -> Shifts<'_> {
        self.protocol.shifts()
    }

    fn measure(&self, part: (&str, usize), into: Found<'_>, observe: Observe<'_>) -> Result<Vec<u32>> {
        let legend = self.data.pairs.legend();
        let mut confusion = Confusion::new(legend.classes.len()).ignoring(VOID);
        for index in 0..self.data.pairs.len() {
            let pair = self.data.pairs.read(index)?;
            let answered = self.answered(index, part, &pair)?;
            let truth = of(&pair);
            // a program may leave a pixel out where the set does, and nowhere else
            let is_void = answered.iter().zip(&truth).any(|(&answer, &truth)| answer == VOID && truth != VOID);
            ensure!(!is_void, "{}: a pixel without a class", self.predictions.join(self.path(index, part)?).display());
            let kept =
                |labels: &[u32]| labels.iter().zip(&truth).filter(|(_, truth)| **truth != VOID).map(|(&one, _)| one).collect();
            let (truth_kept, answered): (Vec<u32>, Vec<u32>) = (kept(&truth), kept(&answered));
            confusion.add(&truth_kept, &answered)?;
            observe(1);
        }
        into.recorder.add_segmentation(into.split, &confusion, &legend.classes, part.1 == 0);
        Ok(Vec::new())
    }

    fn try_few(&self, part: (&str, usize), observe: Observe<'_>) -> Result<()> {
        let pair = self.data.pairs.read(0)?;
        self.answered(0, part, &pair)?;
        observe(1);
        Ok(())
    }
}

impl Shown for Labelled {
    fn about(&self) -> Result<About> {
        let name = called(&self.predictions);
        let mut notes = self.protocol.notes(&format!("label images in {name}"));
        notes.extend(self.data.notes());
        Ok(About {
            task: &SEGMENT,
            model: json!({"labels": name, "sha256": self.sha256}),
            name,
            protocol: serde_json::to_value(&self.protocol)?,
            seed: self.protocol.seed,
            classes: self.data.pairs.legend().classes.clone(),
            notes,
        })
    }

    fn pairs(&self) -> &dyn Pairs {
        &*self.data.pairs
    }

    fn labelled(&self, index: usize, part: (&str, usize)) -> Result<(Pair, Vec<u32>)> {
        let pair = self.data.pairs.read(index)?;
        let labels = self.answered(index, part, &pair)?;
        let image = picture::read(&self.images.join(self.path(index, part)?), Limit::default())?;
        Ok((Pair { image: image.into_raw(), ..pair }, labels))
    }
}
