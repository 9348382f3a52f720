//! The bars: the required ratio of each figure to the peer's.

/// A group of figures that are measured together.
#[derive(clap::ValueEnum, Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Case {
    /// WideResNet-40-2: training, inference, memory, and the speed-up of a second core.
    Wrn,
    /// SelfNorm, CrossNorm, BatchNorm with ReLU, and convolutions.
    Layers,
    /// Linear layers.
    Linear,
    /// A training step of each network of the CIFAR experiments.
    Networks,
    /// AugMix and the corruption generator.
    Images,
    /// JPEG files to inputs, and a ResNet-18 epoch on them.
    Loading,
    /// ResNet-50 and EfficientNet-Lite0 at 224 pixels: training and inference.
    Imagenet,
    /// The corruption generator on an image of 640 × 427 pixels, by one thread.
    Photographs,
    /// A folder of photographs corrupted by two threads, beside one.
    Folder,
    /// A training step of FixMatch on WideResNet-28-2, its views included.
    Fixmatch,
    /// FCN-ResNet50: training and inference.
    Fcn,
    /// A text encoder: training and inference.
    Text,
}

impl Case {
    /// All cases in the order of measurement.
    pub(crate) const ALL: [Self; 12] = [
        Self::Wrn,
        Self::Layers,
        Self::Linear,
        Self::Networks,
        Self::Images,
        Self::Photographs,
        Self::Folder,
        Self::Loading,
        Self::Imagenet,
        Self::Fixmatch,
        Self::Fcn,
        Self::Text,
    ];
}

/// The required ratio, ours to the peer's, of the figures it names.
#[derive(Debug, PartialEq)]
pub(crate) struct Bar {
    /// The case that measures it.
    pub(crate) with: Case,
    /// The figure's case; a `*` at the end matches anything.
    pub(crate) case: &'static str,
    /// The figure's name; a `*` at the end matches anything.
    pub(crate) what: &'static str,
    /// The required ratio; above 1 ours is faster, or smaller.
    pub(crate) least: f64,
}

/// The figure of WideResNet-40-2 whose speed-up by a second core has a bar.
pub(crate) const STEP: &str = "train, SelfNorm + 2 CrossNorm";
/// The figure of a folder of photographs that are corrupted.
pub(crate) const FOLDER: &str = "1600 x 1200, severity 3";
/// The suffix of the name of a figure by two threads beside the same by one.
pub(crate) const CORES: &str = "two cores against one";
/// The suffix of the figure's name for `torch.compile`.
pub(crate) const COMPILED: &str = "compiled";
/// The case of all convolutions together, and the prefix of each of their cases.
pub(crate) const CONVOLUTION: &str = "conv3x3";
/// The case of all networks of the CIFAR experiments together, and the prefix of each of their cases.
pub(crate) const NETWORK: &str = "network";
/// The case of all corruptions together, and the prefix of each of their cases.
pub(crate) const CORRUPTION: &str = "corruption";
/// The case of all corruptions of a photograph together, and the prefix of each of their cases.
pub(crate) const PHOTOGRAPH: &str = "photograph";
/// The name of the figure of several cases together.
pub(crate) const MEAN: &str = "geometric mean";
/// The name of the memory figure: a new process that trains three steps.
pub(crate) const MEMORY: &str = "peak memory";

use Case::{Fcn, Fixmatch, Folder, Imagenet, Images, Layers, Linear, Loading, Networks, Photographs, Text, Wrn};

/// The first bar that matches a figure applies.
pub(crate) const BARS: &[Bar] = &[
    bar(Wrn, "wrn40_2", "train, SelfNorm + 2 CrossNorm", 1.5),
    bar(Wrn, "wrn40_2", "train, SelfNorm, compiled", 1.25),
    bar(Wrn, "wrn40_2", "inference, SelfNorm", 1.8),
    bar(Wrn, "wrn40_2", "inference, SelfNorm, compiled", 1.),
    bar(Wrn, "wrn40_2", "inference, SelfNorm, ONNX Runtime", 1.),
    bar(Wrn, "wrn40_2", "inference, SelfNorm, OpenVINO f32", 1.),
    bar(Wrn, "wrn40_2", "peak memory", 1.),
    bar(Wrn, "wrn40_2", "train, SelfNorm + 2 CrossNorm, two cores against one", 1.8),
    bar(Layers, "SelfNorm", "forward+backward *", 5.),
    bar(Layers, "CrossNorm", "forward+backward *", 6.),
    bar(Layers, "BatchNorm+ReLU", "forward+backward *", 1.5),
    bar(Layers, "conv3x3", "geometric mean", 1.5),
    bar(Layers, "conv3x3 3->16 *", "forward *", 0.9),
    bar(Layers, "conv3x3 3->16 *", "forward+backward *", 0.9),
    bar(Layers, "conv3x3 *", "forward *", 1.1),
    bar(Layers, "conv3x3 *", "forward+backward *", 1.1),
    bar(Linear, "linear *", "forward *", 1.7),
    bar(Linear, "linear *", "forward+backward *", 1.7),
    bar(Networks, "network", "geometric mean", 1.5),
    bar(Networks, "network allconv", "train, *", 1.7),
    bar(Networks, "network densenet40_12", "train, *", 1.2),
    bar(Networks, "network resnext29_4x32", "train, *", 1.4),
    bar(Images, "AugMix", "views", 10.),
    bar(Images, "corruption", "geometric mean", 10.),
    bar(Loading, "loading", "*", 1.5),
    bar(Loading, "resnet18 epoch", "from JPEG files, beside memory", 0.97),
    bar(Imagenet, "resnet50", "train *", 1.4),
    bar(Imagenet, "resnet50", "inference *", 1.4),
    bar(Imagenet, "efficientnet_lite0", "train *", 1.5),
    bar(Imagenet, "efficientnet_lite0", "inference *", 1.5),
    bar(Photographs, "photograph", "geometric mean", 8.),
    bar(Photographs, "photograph jpeg_compression", "640 x 427, *", 1.2),
    bar(Photographs, "photograph *", "640 x 427, *", 1.5),
    bar(Folder, "corrupt folder", "1600 x 1200, severity 3, two cores against one", 1.8),
    bar(Fixmatch, "fixmatch", "train, *", 1.8),
    bar(Fcn, "fcn_resnet50", "train *", 1.5),
    bar(Fcn, "fcn_resnet50", "inference *", 1.3),
    bar(Text, "encoder 4x256", "train *", 2.),
    bar(Text, "encoder 4x256", "inference *", 1.8),
];

const fn bar(with: Case, case: &'static str, what: &'static str, least: f64) -> Bar {
    Bar { with, case, what, least }
}

impl Bar {
    /// The bar of a figure.
    pub(crate) fn of(case: &str, what: &str) -> Option<&'static Self> {
        BARS.iter().find(|bar| fits(bar.case, case) && fits(bar.what, what))
    }
}

fn fits(pattern: &str, name: &str) -> bool {
    pattern.strip_suffix('*').map_or(pattern == name, |start| name.starts_with(start))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_finds_its_bar() {
        let least = |case: &str, what: &str| Bar::of(case, what).map(|bar| bar.least);
        assert_eq!(least("wrn40_2", "train, SelfNorm"), None);
        assert_eq!(least("wrn40_2", &format!("train, SelfNorm, {COMPILED}")), Some(1.25));
        assert_eq!(least("wrn40_2", &format!("{STEP}, {CORES}")), Some(1.8));
        assert_eq!(least("wrn40_2", MEMORY), Some(1.));
        assert_eq!(least("SelfNorm", "forward (128, 32, 32, 32)"), None);
        assert_eq!(least("CrossNorm", "forward+backward (128, 32, 32, 32)"), Some(6.));
        assert_eq!(least("conv3x3 3->16 stride 1 groups 1", "forward (128, 3, 32, 32)"), Some(0.9));
        assert_eq!(least("conv3x3 32->64 stride 2 groups 1", "forward+backward (128, 32, 32, 32)"), Some(1.1));
        assert_eq!(least(CONVOLUTION, MEAN), Some(1.5));
        assert_eq!(least("linear 256->256", "forward (4096, 256)"), Some(1.7));
    }
}
