//! Properties of the augmentations: shapes, streams, bounds, settings.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use proptest::prelude::*;
use sncn_core::Seed;
use sncn_vision::augment::augmix::{AUGMIX, AugMixDraw, DEFAULT_OPERATIONS, mix};
use sncn_vision::augment::autoaugment::{CIFAR10, IMAGENET, Policy, UNSEEN};
use sncn_vision::augment::crop::{self, Edge, PADDING, crop};
use sncn_vision::augment::operation::{OPERATIONS, operation};
use sncn_vision::augment::{AugMix, Augment, RandConv, affine, cutout};
use sncn_vision::corruption::Dims;
use sncn_vision::preprocess::Normalisation;

const DIMS: Dims = Dims { height: 32, width: 32 };

fn image(dims: Dims, salt: usize) -> Vec<u8> {
    (0..dims.bytes()).map(|i| ((i * i * 7 + i * (13 + salt) + salt) % 251) as u8).collect()
}

fn kinds() -> Vec<Augment> {
    vec![
        Augment::CropFlip {},
        Augment::Cutout { size: 16 },
        Augment::PatchUniform { size: 11 },
        Augment::Autoaugment { policy: Policy::Cifar10, cutout: None },
        Augment::Autoaugment { policy: Policy::Cifar10, cutout: Some(0) },
        Augment::Autoaugment { policy: Policy::Imagenet, cutout: None },
        Augment::Autoaugment { policy: Policy::Random, cutout: None },
        Augment::Autoaugment { policy: Policy::Imagenet, cutout: Some(5) },
        Augment::Augmix(AugMix::default()),
        Augment::Randconv(RandConv { probability: 1. }),
        Augment::Augmix(AugMix { all: true, severity: 10, width: 2, depth: Some(4) }),
    ]
}

fn apply(augment: &Augment, dims: Dims, image: &[u8], seed: u64) -> Vec<f32> {
    let mut out = vec![f32::NAN; augment.views() * dims.bytes()];
    let mut crop = vec![0; image.len()];
    crop::crop_and_flip(image, dims, Edge::Black, Seed::new(seed), &mut crop);
    let mut places: Vec<&mut [f32]> = out.chunks_exact_mut(dims.bytes()).collect();
    augment.apply(&crop, dims, &Normalisation::CIFAR, Seed::new(seed), &mut places).unwrap();
    out
}

fn parse(text: &str) -> Result<Augment, String> {
    serde_json::from_str(text).map_err(|e| e.to_string())
}

/// Numbers at and beyond the ends of what an operation takes.
fn numbers() -> impl Strategy<Value = f64> {
    prop_oneof![-400.0..400.0, -2.0..2.0, Just(0.0), Just(1e9), Just(-1e9)]
}

/// One output byte of a bilinear map, straight from the formula.
fn sampled(image: &[u8], dims: Dims, map: [f64; 6], (x, y, channel): (usize, usize, usize)) -> u8 {
    let (h, w, px, py) = (dims.height as f64, dims.width as f64, x as f64 + 0.5, y as f64 + 0.5);
    let [xs, ys] = [0, 3].map(|k| map[k] * px + map[k + 1] * py + map[k + 2]);
    if xs < 0.0 || xs >= w || ys < 0.0 || ys >= h {
        return 0;
    }
    let (left, top) = ((xs - 0.5).floor(), (ys - 0.5).floor());
    let at = |column: f64, row: f64| {
        let (column, row) = (column.clamp(0.0, w - 1.0) as usize, row.clamp(0.0, h - 1.0) as usize);
        f64::from(image[3 * (row * dims.width + column) + channel])
    };
    let between = |from: f64, to: f64, share: f64| from + (to - from) * share;
    let across = |row: f64| between(at(left, row), at(left + 1.0, row), xs - 0.5 - left);
    between(across(top), across(top + 1.0), ys - 0.5 - top) as u8
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(60))]

    #[test]
    fn every_operation_writes_every_byte_of_any_size(h in 1usize..9, w in 1usize..9, number in numbers(), salt in 0usize..50) {
        let dims = Dims { height: h, width: w };
        let image = image(dims, salt);
        for &(name, operation) in OPERATIONS {
            let [mut one, mut two] = [0, 255].map(|fill| vec![fill; dims.bytes()]);
            operation(&image, dims, number, &mut one);
            operation(&image, dims, number, &mut two);
            prop_assert_eq!(one, two, "{} {}", name, number);
        }
    }

    #[test]
    fn bilinear_maps_equal_the_formula_byte_by_byte(h in 1usize..40, w in 1usize..80, factor in -1.5f64..1.5, salt in 0usize..50) {
        let dims = Dims { height: h, width: w };
        let image = image(dims, salt);
        let maps = [
            ("shear_x", factor, [1.0, factor, 0.0, 0.0, 1.0, 0.0]),
            ("shear_y", factor, [1.0, 0.0, 0.0, factor, 1.0, 0.0]),
            ("translate_x", factor, [1.0, 0.0, factor, 0.0, 1.0, 0.0]),
            ("translate_x", factor.round(), [1.0, 0.0, factor.round(), 0.0, 1.0, 0.0]),
            ("translate_y", factor, [1.0, 0.0, 0.0, 0.0, 1.0, factor]),
            ("translate_y", factor.round(), [1.0, 0.0, 0.0, 0.0, 1.0, factor.round()]),
            ("rotate", 20.0 * factor, affine::rotation(20.0 * factor, dims)),
        ];
        for (name, number, map) in maps {
            let mut out = vec![7; dims.bytes()];
            operation(name).unwrap()(&image, dims, number, &mut out);
            let position = |i: usize| (i / 3 % w, i / 3 / w, i % 3);
            let want: Vec<u8> = (0..out.len()).map(|i| sampled(&image, dims, map, position(i))).collect();
            prop_assert_eq!(out, want, "{} {}", name, number);
        }
    }

    #[test]
    fn one_seed_gives_one_result_within_the_scale(seed: u64, h in 1usize..40, w in 1usize..40) {
        let dims = Dims { height: h, width: w };
        let image = image(dims, 3);
        let plain = apply(&Augment::CropFlip {}, dims, &image, seed);
        for augment in kinds() {
            let out = apply(&augment, dims, &image, seed);
            prop_assert_eq!(&out, &apply(&augment, dims, &image, seed));
            // a random convolution goes beyond the range of images
            let largest = if matches!(augment, Augment::Randconv(_)) { 100. } else { 1.0001 };
            prop_assert!(out.iter().all(|v| v.abs() <= largest), "{:?}", augment);
            if augment.views() == 3 {
                prop_assert_eq!(&out[..plain.len()], &plain, "the clean view is the crop");
            }
        }
    }

    #[test]
    fn cutout_hides_one_square_of_the_same_crop(seed: u64, size in 1usize..80) {
        let white = vec![255; DIMS.bytes()];
        let (plain, cut) = (apply(&Augment::CropFlip {}, DIMS, &white, seed), apply(&Augment::Cutout { size }, DIMS, &white, seed));
        let hidden = |p: usize| cut[3 * p..3 * p + 3] == [0.0; 3];
        prop_assert!((0..DIMS.pixels()).all(|p| hidden(p) || plain[3 * p..3 * p + 3] == cut[3 * p..3 * p + 3]));
        let [rows, columns] = cutout::draw(size, DIMS, &mut Seed::new(seed).named("cutout").rng());
        for side in [&rows, &columns] {
            prop_assert!((size.div_ceil(2).min(16)..=size.min(32)).contains(&side.len()), "{side:?} for {size}");
        }
        let inside = |p: usize| rows.contains(&(p / DIMS.width)) && columns.contains(&(p % DIMS.width));
        prop_assert!((0..DIMS.pixels()).all(|p| hidden(p) == inside(p)));
    }
}

#[test]
fn every_crop_is_a_window_of_the_padded_image() {
    let dims = Dims { height: 6, width: 9 };
    let (image, offsets) = (image(dims, 6), 0..=2 * PADDING);
    let places = offsets.clone().flat_map(|down| offsets.clone().map(move |right| (down, right)));
    for ((down, right), flip) in places.flat_map(|place| [(place, false), (place, true)]) {
        let inside = |i: usize, offset: usize, side: usize| (i + offset).checked_sub(PADDING).filter(|&i| i < side);
        let at = |i: usize| {
            let (y, x) = (i / 3 / dims.width, i / 3 % dims.width);
            let x = if flip { dims.width - 1 - x } else { x };
            let source = inside(y, down, dims.height).zip(inside(x, right, dims.width));
            source.map_or(0, |(y, x)| image[3 * (y * dims.width + x) + i % 3])
        };
        let mut got = vec![7; dims.bytes()];
        crop(&image, dims.height, dims.width, (down, right), flip, &mut got);
        assert!(got == (0..got.len()).map(at).collect::<Vec<u8>>(), "{down} {right} {flip}");
    }
}

#[test]
fn neutral_numbers_give_the_image() {
    let image = image(DIMS, 1);
    let neutral = [
        ("identity", 0.0),
        ("posterize", 8.0),
        ("solarize", 256.0),
        ("rotate", 0.0),
        ("rotate", 360.0),
        ("shear_x", 0.0),
        ("shear_y", 0.0),
        ("translate_x", 0.0),
        ("translate_y", 0.0),
        ("rotate_nearest", 0.0),
        ("shear_x_nearest", 0.0),
        ("color", 1.0),
        ("contrast", 1.0),
        ("brightness", 1.0),
        ("sharpness", 1.0),
    ];
    for (name, number) in neutral {
        let mut out = vec![0; image.len()];
        operation(name).unwrap()(&image, DIMS, number, &mut out);
        assert!(out == image, "{name} {number}");
    }
}

#[test]
fn lists_name_operations_of_the_registry() {
    let image = image(DIMS, 2);
    let policy = CIFAR10.iter().chain(&IMAGENET).flatten().map(|choice| &choice.0);
    for entry in AUGMIX.iter().chain(policy).chain(&UNSEEN) {
        let number = (entry.parameter)(3.0, DIMS);
        let (mut one, mut two) = (vec![0; image.len()], vec![1; image.len()]);
        (entry.operation)(&image, DIMS, number, &mut one);
        operation(entry.name).unwrap()(&image, DIMS, number, &mut two);
        assert!(one == two, "{}", entry.name);
    }
    assert!(CIFAR10.iter().chain(&IMAGENET).flatten().all(|choice| choice.1 <= 10 && choice.2 <= 9));
}

#[test]
fn draws_have_the_distributions_of_the_paper() {
    const DRAWS: u64 = 4000;
    let (mut drawn, mut steps, mut shares, mut first) = (AugMixDraw::default(), Vec::new(), 0.0, 0.0);
    let (mut depths, mut most, mut random) = ([0; 4], 0.0f64, [0; 3]);
    for i in 0..DRAWS {
        AugMix::default().draw(DIMS, &mut Seed::new(5).fold_in(i).rng(), &mut drawn);
        assert_eq!(drawn.chains.len(), 3);
        assert!((drawn.chains.iter().map(|c| c.0).sum::<f64>() - 1.0).abs() < 1e-12);
        assert_eq!(drawn.chains.iter().map(|c| c.1).sum::<usize>(), drawn.calls.len());
        drawn.chains.iter().for_each(|c| depths[c.1] += 1);
        shares += drawn.weight;
        first += drawn.chains[0].0.powi(2);
        most = drawn.calls.iter().map(|s| s.parameter).filter(|p| *p < 20.0).fold(most, f64::max);
        Policy::Cifar10.draw(DIMS, &mut Seed::new(6).fold_in(i).rng(), &mut steps);
        assert!(steps.len() <= 2);
        Policy::Random.draw(DIMS, &mut Seed::new(7).fold_in(i).rng(), &mut steps);
        random[steps.len()] += 1;
    }
    // each of two is applied half of the time
    assert!(random.iter().zip([0.25, 0.5, 0.25]).all(|(&n, p)| (f64::from(n) / DRAWS as f64 - p).abs() < 0.03), "{random:?}");
    let n = DRAWS as f64;
    assert!((shares / n - 0.5).abs() < 0.02, "mean of m");
    // E w² = 2 / (width (width + 1)) for Dirichlet(1, 1, 1)
    assert!((first / n - 1.0 / 6.0).abs() < 0.01, "second moment of a weight");
    assert!(depths[0] == 0 && depths[1..].iter().all(|&d| (f64::from(d) / (3.0 * n) - 1.0 / 3.0).abs() < 0.02), "{depths:?}");
    assert_eq!(most, 8.0, "below level 3 a rotation is at most 8 degrees");
    assert_eq!(DEFAULT_OPERATIONS, 9);
}

#[test]
fn a_mixture_without_chains_or_steps_is_the_image() {
    let image = image(DIMS, 4);
    let (mut got, mut want) = (vec![0f32; image.len()], Vec::new());
    want.extend(image.iter().map(|&v| f32::from(v)));
    for drawn in [AugMixDraw::default(), AugMixDraw { weight: 0.7, chains: vec![(0.25, 0), (0.75, 0)], calls: Vec::new() }] {
        mix(&drawn, &image, DIMS, &mut Default::default(), &mut got);
        assert!(got.iter().zip(&want).all(|(g, w)| (g - w).abs() < 1e-4));
    }
}

#[test]
fn views_differ_from_each_other() {
    let out = apply(&Augment::Augmix(AugMix::default()), DIMS, &image(DIMS, 5), 9);
    let views: Vec<&[f32]> = out.chunks(DIMS.bytes()).collect();
    assert!(views[0] != views[1] && views[1] != views[2] && views[0] != views[2]);
}

#[test]
fn settings_are_read_strictly() {
    assert_eq!(parse(r#"{"kind":"crop_flip"}"#).unwrap(), Augment::CropFlip {});
    assert_eq!(parse(r#"{"kind":"cutout"}"#).unwrap(), Augment::Cutout { size: 16 });
    let autoaugment = |policy: Policy, cutout: Option<usize>| Augment::Autoaugment { policy, cutout };
    assert_eq!(parse(r#"{"kind":"autoaugment"}"#).unwrap(), autoaugment(Policy::Cifar10, None));
    assert_eq!(parse(r#"{"kind":"autoaugment","cutout":0}"#).unwrap(), autoaugment(Policy::Cifar10, Some(0)));
    assert_eq!(parse(r#"{"kind":"autoaugment","policy":"imagenet"}"#).unwrap(), autoaugment(Policy::Imagenet, None));
    let unknown = parse(r#"{"kind":"autoaugment","policy":"svhn"}"#).unwrap_err();
    assert!(unknown.contains("cifar10") && unknown.contains("imagenet"), "{unknown}");
    assert_eq!(parse(r#"{"kind":"augmix"}"#).unwrap(), Augment::Augmix(AugMix::default()));
    let given = parse(r#"{"kind":"augmix","severity":1,"width":4,"depth":2,"all":true}"#).unwrap();
    assert_eq!(given, Augment::Augmix(AugMix { severity: 1, width: 4, depth: Some(2), all: true }));
    for text in [r#"{"kind":"crop_flip","size":1}"#, r#"{"kind":"augmix","levels":1}"#, r#"{"kind":"cutout","sides":1}"#] {
        assert!(parse(text).unwrap_err().contains("unknown field"), "{text}");
    }
    let randconv = parse(r#"{"kind":"randconv","probability":0.5}"#).unwrap();
    assert_eq!(randconv, Augment::Randconv(RandConv { probability: 0.5 }));
    assert!(parse(r#"{"kind":"randconv"}"#).unwrap_err().contains("probability"));
    assert!(parse(r#"{"kind":"randconv","probability":1,"size":3}"#).unwrap_err().contains("unknown field"));
    assert!(parse(r#"{"kind":"mixup"}"#).unwrap_err().contains("augmix"), "the error lists the kinds");
    for augment in kinds() {
        assert_eq!(parse(&serde_json::to_string(&augment).unwrap()).unwrap(), augment);
    }
}

#[test]
fn what_cannot_be_done_is_refused() {
    let wrong = [
        (Augment::Augmix(AugMix { severity: 0, ..AugMix::default() }), "severity is 0"),
        (Augment::Augmix(AugMix { severity: 11, ..AugMix::default() }), "severity is 11"),
        (Augment::Augmix(AugMix { width: 0, ..AugMix::default() }), "width is 0"),
        (Augment::Augmix(AugMix { depth: Some(0), ..AugMix::default() }), "depth is 0"),
        (Augment::Cutout { size: 0 }, "size is 0"),
        (Augment::Randconv(RandConv { probability: 1.5 }), "augment.probability is 1.5; 0 to 1 is accepted"),
    ];
    let image = image(DIMS, 0);
    let refused = |augment: &Augment, image: &[u8], dims: Dims, lengths: &[usize]| {
        let mut out: Vec<Vec<f32>> = lengths.iter().map(|&length| vec![0.; length]).collect();
        let mut places: Vec<&mut [f32]> = out.iter_mut().map(Vec::as_mut_slice).collect();
        augment.apply(image, dims, &Normalisation::CIFAR, Seed::new(0), &mut places).unwrap_err().to_string()
    };
    for (augment, what) in wrong {
        let error = refused(&augment, &image, DIMS, &vec![DIMS.bytes(); augment.views()]);
        assert!(error.contains(what), "{error}");
    }
    let plain = Augment::CropFlip {};
    assert!(refused(&plain, &image[1..], DIMS, &[DIMS.bytes()]).contains("32 x 32 x 3"));
    assert!(refused(&plain, &image, DIMS, &[DIMS.bytes() - 1]).contains("3072 are wanted"));
    assert!(refused(&plain, &image, DIMS, &[DIMS.bytes(); 2]).contains("2 views, there are 1"));
    assert!(refused(&plain, &image, DIMS, &[]).contains("no place for 1 views"));
    assert!(refused(&plain, &[], Dims { height: 0, width: 3 }, &[0]).contains("0 x 3 x 3"));
    assert!(operation("twirl").unwrap_err().to_string().contains("autocontrast"));
}

/// What the magnitudes of torchvision's `AutoAugmentPolicy.IMAGENET` come to, computed by hand from its ranges (`linspace` with ten
/// ends): the parameter, or for an enhancement how far its factor is from 1.
#[test]
fn magnitudes_of_the_imagenet_policy_are_ninths() {
    let dims = Dims { height: 224, width: 224 };
    let by_hand: [(&str, [f64; 10]); 7] = [
        ("posterize", [8., 8., 7., 7., 6., 6., 5., 5., 4., 4.]),
        // bytes from these on are inverted: 255, 226.67, 198.33, 170, 141.67, 113.33, 85, 56.67, 28.33, 0
        ("solarize", [255., 227., 199., 170., 142., 114., 85., 57., 29., 0.]),
        ("rotate_nearest", [0., 10. / 3., 20. / 3., 10., 40. / 3., 50. / 3., 20., 70. / 3., 80. / 3., 30.]),
        ("shear_x_nearest", [0., 1. / 30., 1. / 15., 0.1, 2. / 15., 1. / 6., 0.2, 7. / 30., 4. / 15., 0.3]),
        ("color", [0., 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("contrast", [0., 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
        ("sharpness", [0., 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9]),
    ];
    let entries: Vec<_> = IMAGENET.iter().flatten().map(|choice| &choice.0).collect();
    for (name, by_hand) in by_hand {
        let entry = entries.iter().find(|entry| entry.name == name).unwrap();
        assert_eq!(entry.centre, if ["color", "contrast", "sharpness"].contains(&name) { 1. } else { 0. }, "{name}");
        assert_eq!(entry.signed, !["posterize", "solarize"].contains(&name), "{name}");
        for (magnitude, want) in (0..10).zip(by_hand) {
            let got = (entry.parameter)(f64::from(magnitude), dims);
            assert!((got - want).abs() < 1e-12, "{name} at {magnitude}: {got}, not {want}");
        }
    }
    // factors of both signs are drawn: 1 ± 0.8 for contrast at 8
    let mut calls = Vec::new();
    let mut factors: Vec<f64> = Vec::new();
    for i in 0..2000 {
        Policy::Imagenet.draw(dims, &mut Seed::new(8).fold_in(i).rng(), &mut calls);
        let contrast = operation("contrast").unwrap() as usize;
        factors.extend(calls.iter().filter(|call| call.operation as usize == contrast).map(|call| call.parameter));
    }
    let more = factors.iter().filter(|&&factor| (factor - 1.8).abs() < 1e-12).count();
    let less = factors.iter().filter(|&&factor| (factor - 0.2).abs() < 1e-12).count();
    assert_eq!(more + less, factors.len());
    // two of 25 sub-policies, always applied
    assert!((120..=200).contains(&factors.len()) && more.abs_diff(less) < 40, "{more} and {less} of {}", factors.len());
}

/// The published code of AugMix takes translations from a third of the image's side, which is 224 pixels on ImageNet and 32 on CIFAR;
/// AutoAugment's for CIFAR from 10 of 32 pixels.
#[test]
fn translations_grow_with_the_image() {
    let find = |name: &str| AUGMIX.iter().find(|entry| entry.name == name).unwrap();
    for (side, by_hand) in [(224, [0., 7., 14., 22., 37., 67., 74.]), (32, [0., 1., 2., 3., 5., 9., 10.])] {
        for name in ["translate_x", "translate_y"] {
            let dims = Dims { height: side, width: side };
            for (level, want) in [0.1, 0.95, 1.9, 2.99, 5., 9., 10.].into_iter().zip(by_hand) {
                assert_eq!((find(name).parameter)(level, dims), want, "{name} at {level}, {side} pixels");
            }
        }
    }
    let wide = Dims { height: 90, width: 300 };
    assert_eq!(((find("translate_x").parameter)(10., wide), (find("translate_y").parameter)(10., wide)), (100., 30.));
    assert_eq!((CIFAR10[1][1].0.parameter)(9., Dims { height: 224, width: 224 }), 63.);
}

/// With the settings of its ImageNet experiments, levels below 1: operations are mild, and translations are at most 7 pixels of 224.
#[test]
fn augmix_as_on_imagenet_is_mild() {
    let (settings, dims) = (AugMix { severity: 1, ..AugMix::default() }, Dims { height: 224, width: 224 });
    let (mut drawn, mut most) = (AugMixDraw::default(), 0f64);
    let translations = ["translate_x", "translate_y"].map(|name| operation(name).unwrap() as usize);
    for i in 0..2000 {
        settings.draw(dims, &mut Seed::new(3).fold_in(i).rng(), &mut drawn);
        let moved = drawn.calls.iter().filter(|call| translations.contains(&(call.operation as usize)));
        most = moved.map(|call| call.parameter.abs()).fold(most, f64::max);
    }
    assert_eq!(most, 7.);
}

#[test]
fn a_random_convolution_changes_the_crop_as_often_as_it_is_asked_to() {
    let image = image(DIMS, 2);
    let changed = |probability: f64| {
        let augment = Augment::Randconv(RandConv { probability });
        let differs = |seed: &u64| apply(&augment, DIMS, &image, *seed) != apply(&Augment::CropFlip {}, DIMS, &image, *seed);
        (0..100).filter(differs).count()
    };
    assert_eq!((changed(0.), changed(1.)), (0, 100));
    // 50 of 100, 4 standard deviations of 5
    assert!((30..=70).contains(&changed(0.5)), "{}", changed(0.5));
}
