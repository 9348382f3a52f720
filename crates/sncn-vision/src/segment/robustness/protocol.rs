//! `Protocol`: which images with labels are corrupted how, as far as it decides whether two results may be compared.

use super::super::overlay::overlay;
use crate::classify::corrupted::SEED;
use crate::corruption::{self, Dims, Frost, Variant, frost};
use crate::dataset::pairs::{self, Pair, PairSubset, Pairs};
use crate::picture::Photo;
use crate::preprocess::thumbnail;
use anyhow::{Context, Result, bail, ensure};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};
use sncn_report::Grid;
use sncn_train::digest;
use sncn_train::harness::cli::{self, Severities};
use sncn_train::harness::robustness::given;
use sncn_train::harness::robustness::{About, Measured, Samples, Shifts, plain};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Which images with labels are corrupted how. Images are corrupted at their own size.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Protocol {
    /// The name of the set, or of the folder.
    pub(super) data: String,
    /// Its images.
    pub(super) images: usize,
    /// SHA-256 over the pixels and labels of the images.
    pub(super) sha256: String,
    /// The corruptions, in order.
    pub(super) corruptions: Vec<String>,
    /// The severities, in order.
    pub(super) severities: Vec<usize>,
    /// Which table of severities they are from.
    pub(super) severity_table: String,
    /// Where frost came from.
    pub(super) frost: String,
    /// The seed of the corruptions.
    pub(super) seed: u64,
}

impl Protocol {
    /// The shifts.
    pub(super) fn shifts(&self) -> Shifts<'_> {
        Shifts { names: &self.corruptions, severities: &self.severities, examples: self.images }
    }

    /// It in words, for a reader of the numbers.
    pub(super) fn notes(&self, who: &str) -> Vec<String> {
        let Self { data, images, corruptions, severities, severity_table, seed, .. } = self;
        let frost = corruptions.iter().any(|name| name == "frost").then(|| format!(", frost of {}", self.frost));
        let about = format!(
            "{who} on {images} images of {data}: {} corruptions × severities {severities:?} ({severity_table} table{}, seed {seed}), \
             corrupted at their own size",
            corruptions.len(),
            frost.unwrap_or_default()
        );
        std::iter::once(about).chain(Severities::note(severities)).collect()
    }
}

/// The table of severities of networks that are measured here, and of test sets, whatever the size of images.
pub(super) const TABLE: Variant = Variant::Imagenet;

/// How images are corrupted for a network.
#[derive(clap::Args, Debug)]
pub(super) struct Options {
    /// Corruptions (default: the 15 of the benchmark).
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    corruptions: Vec<String>,
    #[command(flatten)]
    severities: Severities,
    /// Only the first images.
    #[arg(long, value_name = "COUNT")]
    limit: Option<usize>,
    /// Folder of the frost photographs (default: generated textures).
    #[arg(long, value_name = "FOLDER", requires = "model")]
    frost_dir: Option<PathBuf>,
    /// Folder that holds the data sets (default: $SNCN_DATA).
    #[arg(long, value_name = "FOLDER")]
    data_dir: Option<PathBuf>,
}

/// Images with labels.
pub(super) struct Data {
    /// What they are called.
    pub(super) name: String,
    pub(super) pairs: Arc<dyn Pairs>,
    /// How many there are of which only some are measured.
    pub(super) all: usize,
    /// SHA-256 over their pixels and labels.
    pub(super) sha256: String,
    /// The table of severities that `corrupt` chooses for the size of the first image.
    pub(super) table: Variant,
}

impl Options {
    /// Opens images with labels.
    ///
    /// # Errors
    /// If there are none.
    pub(super) fn open(&self, set: &str) -> Result<Data> {
        given::check_limit(self.limit)?;
        let path = Path::new(set);
        let (name, pairs) = match path.is_dir() {
            true => (given::called(path), pairs::part(path)?),
            false => (set.to_string(), pairs::test_set(set, &cli::data_dir(self.data_dir.as_deref()))?),
        };
        let all = pairs.len();
        let pairs = PairSubset::first(&pairs, self.limit);
        ensure!(!pairs.is_empty(), "{set}: no images");
        let each = (0..pairs.len()).into_par_iter().map(|index| -> Result<[u8; 32]> {
            let Pair { height, width, image, labels } = pairs.read(index)?;
            Ok(digest::of_example(&[format!("{height} {width}").as_bytes(), &image, &labels]))
        });
        let (height, width) = pairs.size(0)?;
        let table = Variant::of(Dims { height, width });
        Ok(Data { name, all, sha256: digest::of_set(each.collect::<Result<_>>()?), table, pairs })
    }

    /// Refuses what only networks are asked.
    ///
    /// # Errors
    /// If one of them is given.
    pub(super) fn refuse(&self) -> Result<()> {
        let is_usual = self.corruptions.is_empty() && self.severities.given().is_none() && self.limit.is_none();
        ensure!(is_usual, "--corruptions, --severities and --limit are for --model; label images are of those that were written");
        Ok(())
    }

    /// What is asked for, with the textures of frost.
    ///
    /// # Errors
    /// If a corruption is unknown, or one is named twice.
    pub(super) fn protocol(&self, data: &Data) -> Result<(Protocol, Frost)> {
        let corruptions = given::names("--corruptions", &self.corruptions, corruption::benchmark())?;
        let severities = given::severities(&self.severities)?;
        let frost = frost::textures(self.frost_dir.as_deref())?;
        corruptions.iter().try_for_each(|name| corruption::build(name, 1, TABLE, &frost).map(|_| ()))?;
        let protocol = Protocol {
            data: data.name.clone(),
            images: data.pairs.len(),
            sha256: data.sha256.clone(),
            corruptions,
            severities,
            severity_table: TABLE.name().to_string(),
            frost: frost.origin().to_string(),
            seed: SEED.value(),
        };
        Ok((protocol, frost))
    }
}

impl Data {
    /// What is said of the classes, and where only some images are measured.
    pub(super) fn notes(&self) -> Vec<String> {
        let count = self.pairs.len();
        (count < self.all).then(|| format!("a subset: the first {count} of {} images", self.all)).into_iter().collect()
    }
}

/// What can be shown with its labels.
pub(super) trait Shown {
    fn about(&self) -> Result<About>;

    fn pairs(&self) -> &dyn Pairs;

    /// The image with this number under a corruption at a severity, at 0 as it is, and the labels that it gets.
    fn labelled(&self, index: usize, part: (&str, usize)) -> Result<(Pair, Vec<u32>)>;
}

/// The longer side of pictures on a page.
const SIDE: usize = 240;

/// The first image with its labels: as they are, as they are answered, and under each corruption at the highest severity.
///
/// # Errors
/// If an image cannot be read.
pub(super) fn samples(measured: &(impl Measured + Shown)) -> Result<Samples> {
    let (legend, shifts) = (measured.pairs().legend().clone(), measured.shifts());
    let heads = ["corruption", "image", "its labels"].map(str::to_string);
    let severity = shifts.strongest();
    let mut samples = Samples {
        heading: "Labels",
        says: format!(
            "The first image as it is, with the labels of the set and those that are answered, and under each corruption at severity {severity}."
        ),
        grid: Grid::new(heads.to_vec()),
        files: Vec::new(),
    };
    let mut add = |what: &str, pair: &Pair, labels: &[u32]| -> Result<()> {
        let dims = Dims { height: pair.height, width: pair.width };
        let row = samples.grid.len();
        let mut cells = vec![plain(what)];
        for (kind, bytes) in [("image", pair.image.clone()), ("labels", overlay(&pair.image, labels, &legend))] {
            let file = format!("{row}-{kind}.png");
            cells.push(format!("![]({file})"));
            let mut photo = Photo::default();
            photo.reset(dims).copy_from_slice(&bytes);
            samples.files.push((file, thumbnail(&photo, SIDE)?));
        }
        samples.grid.push(cells);
        Ok(())
    };
    let (clean, answered) = measured.labelled(0, ("", 0))?;
    let truth: Vec<u32> = clean.labels.iter().map(|&label| u32::from(label)).collect();
    add("none, with the labels of the set", &clean, &truth)?;
    add("none", &clean, &answered)?;
    if severity > 0 {
        for name in shifts.names {
            let (pair, labels) = measured.labelled(0, (name, severity))?;
            add(name, &pair, &labels)?;
        }
    }
    Ok(samples)
}

/// Refuses another number of classes than the set's.
///
/// # Errors
/// Says both.
pub(super) fn same_classes(who: &str, count: usize, names: Option<&[String]>, pairs: &dyn Pairs) -> Result<()> {
    let own = &pairs.legend().classes;
    match names {
        Some(names) if names != own.as_slice() => {
            bail!("{who}: its classes ({}) are not those of the set ({})", names.join(", "), own.join(", "))
        }
        _ if count != own.len() => {
            bail!("{who} tells {count} classes, and classes.txt of the set has {} ({})", own.len(), own.join(", "))
        }
        _ => Ok(()),
    }
}

/// The labels of one image, which was read.
pub(super) fn of(pair: &Pair) -> Vec<u32> {
    pair.labels.iter().map(|&label| u32::from(label)).collect()
}

/// The name of a file of labels below a folder.
pub(super) fn below(folder: &Path, name: &str) -> Result<Vec<u8>> {
    let path = folder.join(name);
    std::fs::read(&path).with_context(|| format!("{}: a label image is missing", path.display()))
}
