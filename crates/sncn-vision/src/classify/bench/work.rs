//! Additions and multiplications of the convolutions of networks, in a forward pass of one image.

use crate::backbone::efficientnet::{ENDS, STAGES};

/// ResNet-50: the side of the stem's map, those before and in every stage, and the classes.
pub(super) fn resnet(stem: usize, sides: [(usize, usize); 4], classes: usize) -> f64 {
    let mut sum = stem * stem * 147 * 64 + 2048 * classes;
    let mut from = 64;
    for (stage, (blocks, (before, side))) in [3, 4, 6, 3].into_iter().zip(sides).enumerate() {
        let (width, at) = (64 << stage, side * side);
        // the first block strides at its 3 × 3 convolution
        sum += before * before * from * width + at * (13 * width * width + 4 * from * width);
        sum += (blocks - 1) * at * 17 * width * width;
        from = 4 * width;
    }
    2. * sum as f64
}

/// EfficientNet-Lite0.
pub(super) fn lite(side: usize, classes: usize) -> f64 {
    let (mut side, mut from) = (side.div_ceil(2), ENDS.0);
    let mut sum = side * side * 27 * from;
    for (blocks, kernel, stride, expansion, to) in STAGES {
        for block in 0..blocks {
            let wide = expansion * from;
            sum += if expansion > 1 { side * side * from * wide } else { 0 };
            side = if block == 0 { side.div_ceil(stride) } else { side };
            sum += side * side * wide * (kernel * kernel + to);
            from = to;
        }
    }
    2. * (sum + side * side * from * ENDS.1 + ENDS.1 * classes) as f64
}
