//! The row that stands for images with labelled pixels, a network and a method, for users without a table.

use super::setup::Segment;
use crate::classify::corrupted::VALIDATION;
use crate::dataset::pairs::{self, PAIR_SETS, PairSplits, Pairs};
use anyhow::{Result, anyhow, ensure};
use rayon::prelude::*;
use serde_json::{Value, json};
use sncn_train::DataDir;
use sncn_train::harness::Task;
use sncn_train::harness::given::{Given, Method, Row, is_path, method, methods};
use sncn_train::text_file::listed;
use std::path::{Path, PathBuf};

/// The name that a user's own images have as a data set.
const OWN: &str = "folder";
/// The network where none is given.
const NETWORK: &str = "fcn_resnet18_16";
/// Of so many training images one is kept out of training, where the data has no validation part.
const KEPT: usize = 10;
/// Pixels of an image that is trained on whole.
const WHOLE: usize = 1 << 19;
/// The longest side of a crop.
const CROP: usize = 512;
/// Pixels of a batch.
const BATCH: usize = 1 << 21;
/// The most images of a batch.
const IMAGES: usize = 8;
/// Pixels of an image that is labelled in one pass.
const PASS: usize = 1 << 22;
/// The side of the windows in which larger ones are labelled.
const WINDOW: usize = 1024;

/// How training images are changed, as the table `camvid` has it.
fn augment(crop: Option<[usize; 2]>) -> Value {
    let mut augment = json!({"kind": "paired", "scale": [0.75, 1.5], "rotate": 10, "blur": 0.5, "flip": true});
    if let Some(crop) = crop {
        augment["crop"] = json!(crop);
    }
    augment
}

/// The methods of the paper and those beside it, by name.
fn all_methods(crop: Option<[usize; 2]>) -> Vec<Method> {
    let mix = json!({"probability": 0.5, "active": 1});
    let mut known = methods(
        &json!({"kind": "crossnorm", "at": "post", "crop": "style"}),
        &json!({"kind": "selfnorm", "at": "residual"}),
        json!({"layers": [{"kind": "mixstyle", "at": "post"}], "mix": mix}),
    );
    let mut restyled = augment(crop);
    restyled["style"] = json!({"kind": "randconv", "probability": 0.5});
    known.push(("randconv", json!({"augment": restyled})));
    known
}

/// The sizes of images that are trained on: median rows and columns, the most pixels of one, and whether they differ.
struct Sizes {
    median: [usize; 2],
    largest: usize,
    differ: bool,
}

impl Sizes {
    /// Those of a set; files are read, images are not decoded.
    fn of(pairs: &dyn Pairs) -> Result<Self> {
        let all = (0..pairs.len()).into_par_iter().map(|index| pairs.size(index)).collect::<Result<Vec<_>>>()?;
        let median = |side: fn(&(usize, usize)) -> usize| {
            let mut sides: Vec<usize> = all.iter().map(side).collect();
            sides.sort_unstable();
            sides.get(sides.len() / 2).copied().unwrap_or(0)
        };
        Ok(Self {
            median: [median(|size| size.0), median(|size| size.1)],
            largest: all.iter().map(|(rows, columns)| rows * columns).max().unwrap_or(0),
            differ: all.windows(2).any(|two| two[0] != two[1]),
        })
    }

    /// The crop that is trained on, where images differ, of which a batch needs one size, or are large.
    fn crop(&self) -> Option<[usize; 2]> {
        (self.differ || self.largest > WHOLE).then(|| self.median.map(|side| side.clamp(16, CROP)))
    }
}

/// What a user gave as data: the name of the set, and where it is.
fn located(given: &Given<'_>) -> Result<(String, DataDir, bool)> {
    let known: Vec<&str> = PAIR_SETS.iter().map(|(name, _)| *name).collect();
    if !is_path(given.data, &known)? {
        return Ok((given.data.to_string(), given.data_dir.clone(), false));
    }
    let path = Path::new(given.data);
    ensure!(
        path.is_dir(),
        "--data {}: a file; a folder with classes.txt and train/{{images,labels}} in it is wanted",
        given.data
    );
    Ok((OWN.to_string(), DataDir { path: Some(path.to_path_buf()) }, true))
}

/// How many images are trained on, and a sentence on those that are kept out of training.
fn trained(splits: &PairSplits) -> Result<(Option<usize>, String)> {
    let count = splits.train.len();
    if let Some(kept) = &splits.validation {
        return Ok((None, format!("the best of the epochs is chosen on {}", kept.describe())));
    }
    ensure!(
        count > 2,
        "{}: at least 3 images are wanted, one of them to choose the best of the epochs on",
        splits.train.describe()
    );
    let kept = (count / KEPT).max(1);
    Ok((
        Some(count - kept),
        format!(
            "the last {kept} of them by name are kept out of training, and the best of the epochs is chosen on them (the last ones, \
             since frames of a film resemble their neighbours)"
        ),
    ))
}

/// The row, and what was chosen.
pub(super) fn row(given: &Given<'_>) -> Result<Row> {
    method(given.method, all_methods(None))?;
    let (train, data_dir, is_own) = located(given)?;
    let splits = pairs::open(&train, &data_dir)?;
    let sizes = Sizes::of(&*splits.train)?;
    let crop = sizes.crop();
    let of_method = method(given.method, all_methods(crop))?;
    let (limit, kept) = trained(&splits)?;
    let count = limit.unwrap_or(splits.train.len());
    let [rows, columns] = crop.unwrap_or(sizes.median);
    let batch_size = (BATCH / (rows * columns).max(1)).clamp(2, IMAGES).min(count);
    let network = given.network.unwrap_or(NETWORK);
    let (epochs, lr) = match given.weights {
        Some(_) => (given.epochs.unwrap_or(10), 0.01),
        None => (given.epochs.unwrap_or(30), 0.04),
    };
    let mut keys = json!({
        "name": given.method, "train": train, "backbone": network, "epochs": epochs, "batch_size": batch_size, "lr": lr,
        "lr_factors": {"aux_classifier.": 10, "classifier.": 10},
        "optimizer": {"kind": "sgd", "momentum": 0.9, "nesterov": false, "weight_decay": 0.0001},
        "schedule": {"kind": "polynomial", "power": 0.9}, "objective": {"kind": "segment", "auxiliary": 0.4},
        "augment": augment(crop), "early_stopping": {"patience": epochs.max(1)}
    });
    if let Some(limit) = limit {
        keys["train_limit"] = limit.into();
    }
    let windows = sizes.largest > PASS;
    if windows {
        keys["evaluate"] = json!({"window": [WINDOW, WINDOW]});
    }
    let size = |[rows, columns]: [usize; 2]| format!("{columns} × {rows} pixels");
    let said = vec![
        format!("{}: classes {}", splits.train.describe(), listed(&splits.train.legend().classes)),
        match crop {
            Some(crop) => format!(
                "images {}: trained on in crops of {}{}",
                if sizes.differ { "differ in size".to_string() } else { format!("have {}", size(sizes.median)) },
                size(crop),
                if windows { format!(", labelled in windows of {WINDOW} pixels a side") } else { String::new() }
            ),
            None => format!("images have {}", size(sizes.median)),
        },
        kept,
        format!("network {network}, method {}, {epochs} epochs, batches of {batch_size}", given.method),
    ];
    let validation = format!("{train}{VALIDATION}");
    let mut tests = vec![validation.clone(), format!("{validation}-c")];
    tests.extend(splits.test.iter().map(|(name, _)| name.clone()));
    tests.extend(splits.test.first().map(|(name, _)| format!("{name}-c")));
    let more = tests.last().cloned().unwrap_or_default();
    keys["test"] = json!(tests);
    let Value::Object(mut keys) = keys else { return Err(anyhow!("a row is an object")) };
    keys.extend(of_method);
    keys.extend(given.weights.map(|file| ("weights".to_string(), file.into())));
    let evaluation = ["--test", &format!("{validation},{validation}-c"), "--severities", "3"].map(str::to_string).to_vec();
    let mut said = said;
    said.push(format!("{} evaluate measures more, such as --test {more}", Segment::INFO.program));
    Ok(Row { keys, data_dir: is_own.then(|| PathBuf::from(given.data)), said, evaluation })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_that_differ_or_are_large_are_cropped() {
        let crop = |median, largest, differ| Sizes { median, largest, differ }.crop();
        assert_eq!(crop([360, 480], 360 * 480, false), None);
        assert_eq!(crop([360, 480], 360 * 500, true), Some([360, 480]));
        assert_eq!(crop([1024, 2048], 1024 * 2048, false), Some([512, 512]));
        assert_eq!(crop([300, 2048], 300 * 2048, false), Some([300, 512]));
        assert_eq!(crop([8, 20], 160, true), Some([16, 20]));
    }

    #[test]
    fn randconv_keeps_the_other_changes() -> Result<()> {
        let keys = method("randconv", all_methods(Some([64, 96])))?;
        assert_eq!(keys["augment"]["crop"], json!([64, 96]));
        assert_eq!(keys["augment"]["style"]["kind"], "randconv");
        let unknown = method("ibn", all_methods(None)).unwrap_err().to_string();
        assert!(unknown.contains("known: baseline, cn, sn, cnsn, mixstyle, randconv"), "{unknown}");
        Ok(())
    }
}
