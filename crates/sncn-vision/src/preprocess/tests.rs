use super::*;
use serde_json::{Value, json};

/// Smooth colours with a texture.
fn photo(height: usize, width: usize) -> Photo {
    let value = |i: usize| {
        let (y, x, c) = (i / 3 / width, i / 3 % width, i % 3);
        (128. + 60. * (y as f64 / 9. + c as f64).sin() + 50. * (x as f64 / 5.).cos() + ((x * 7 + y * 13 + c * 5) % 17) as f64)
            as u8
    };
    Photo::new(Dims { height, width }, (0..3 * height * width).map(value).collect()).unwrap()
}

/// Pillow's filter along one axis, in f64 and rounded: weights of a triangle or cubic as wide as a pixel of the result.
fn filtered(values: &[f64], to: usize, cubic: bool) -> Vec<f64> {
    let scale = values.len() as f64 / to as f64;
    let wide = scale.max(1.);
    let kernel = |x: f64| match x.abs() {
        x if !cubic => (1. - x).max(0.),
        x if x < 1. => (1.5 * x - 2.5) * x * x + 1.,
        x if x < 2. => ((-0.5 * x + 2.5) * x - 4.) * x + 2.,
        _ => 0.,
    };
    let support = wide * if cubic { 2. } else { 1. };
    let one = |i: usize| {
        let centre = (i as f64 + 0.5) * scale;
        let (first, last) = ((centre - support + 0.5).max(0.) as usize, ((centre + support + 0.5) as usize).min(values.len()));
        let weights: Vec<f64> = (first..last).map(|at| kernel((at as f64 - centre + 0.5) / wide)).collect();
        let sum: f64 = weights.iter().sum();
        (weights.iter().zip(&values[first..last]).map(|(w, v)| w * v).sum::<f64>() / sum).round().clamp(0., 255.)
    };
    (0..to).map(one).collect()
}

#[test]
fn resizing_filters_as_pillow_does() {
    let (from, source) = (Dims { height: 37, width: 53 }, photo(37, 53));
    for to in [Dims { height: 16, width: 23 }, Dims { height: 80, width: 61 }, Dims { height: 37, width: 10 }] {
        for (by, cubic) in [(Interpolation::Bilinear, false), (Interpolation::Bicubic, true)] {
            let mut got = Photo::default();
            resample(source.bytes(), from, by, &mut got, to).unwrap();
            for channel in 0..3 {
                let at = |y: usize, x: usize| f64::from(source.bytes()[3 * (y * from.width + x) + channel]);
                let rows: Vec<Vec<f64>> = (0..from.height)
                    .map(|y| filtered(&(0..from.width).map(|x| at(y, x)).collect::<Vec<_>>(), to.width, cubic))
                    .collect();
                for x in 0..to.width {
                    let column = filtered(&rows.iter().map(|row| row[x]).collect::<Vec<_>>(), to.height, cubic);
                    for (y, want) in column.into_iter().enumerate() {
                        let found = f64::from(got.bytes()[3 * (y * to.width + x) + channel]);
                        assert!(
                            (found - want).abs() <= 1.,
                            "{by:?} to {to:?} at ({y}, {x}, {channel}): {found} instead of {want}"
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn the_middle_of_the_resized_image_is_taken_and_an_image_that_fits_stays() {
    let settings = Preprocessing { size: 16, resize: 20, ..Default::default() };
    for (height, width, whole) in [(40, 60, (20, 30)), (60, 40, (30, 20)), (33, 100, (20, 60)), (10, 10, (20, 20))] {
        let (source, mut fitted, mut resized) = (photo(height, width), Photo::default(), Photo::default());
        settings.fit(&source, &mut fitted).unwrap();
        let whole = Dims { height: whole.0, width: whole.1 };
        resample(source.bytes(), source.dims(), settings.interpolation, &mut resized, whole).unwrap();
        let (top, left) = ((whole.height - 16) / 2, (whole.width - 16) / 2);
        for y in 0..16 {
            let row = &resized.bytes()[3 * ((y + top) * whole.width + left)..][..48];
            assert_eq!(&fitted.bytes()[48 * y..][..48], row, "{height} x {width}, row {y}");
        }
    }
    let (source, mut fitted) = (photo(16, 16), Photo::default());
    settings.fit(&source, &mut fitted).unwrap();
    assert_eq!(fitted, source);
    assert!(settings.fit(&Photo::default(), &mut fitted).is_err());
    // as Python's round, halves go to the even number
    assert_eq!([4, 5, 6, 7, 8, 9].map(|whole| middle(whole, 4)), [0, 0, 1, 2, 2, 2]);
}

#[test]
fn training_crops_depend_on_the_stream_alone_and_a_whole_crop_is_the_image_resized() {
    let source = photo(50, 70);
    for kind in [json!({"kind": "padded"}), json!({"kind": "resized"})] {
        let settings = Preprocessing::read(&json!({"like": "imagenet", "size": 24, "train_crop": kind})).unwrap();
        let crop = |seed: u64| {
            let mut out = Photo::default();
            settings.fit_at_random(&source, Seed::new(seed), &mut out).unwrap();
            assert_eq!(out.dims(), settings.dims());
            out
        };
        assert_eq!(crop(1), crop(1));
        assert!((2..9).any(|seed| crop(seed) != crop(1)));
    }
    let whole = json!({"kind": "resized", "scale": [1, 1], "ratio": [1.4, 1.4]});
    let settings = Preprocessing::read(&json!({"like": "imagenet", "size": 24, "train_crop": whole})).unwrap();
    let (mut expected, mut out) = (Photo::default(), Photo::default());
    resample(source.bytes(), source.dims(), settings.interpolation, &mut expected, settings.dims()).unwrap();
    let mut mirrored = expected.clone();
    mirrored.bytes_mut().as_chunks_mut::<3>().0.chunks_exact_mut(24).for_each(<[_]>::reverse);
    let mut seen = [0; 2];
    for seed in 0..20 {
        settings.fit_at_random(&source, Seed::new(seed), &mut out).unwrap();
        assert!(out == expected || out == mirrored);
        seen[usize::from(out == mirrored)] += 1;
    }
    assert!(seen[0] > 2 && seen[1] > 2, "{seen:?}");
}

#[test]
fn normalisation_is_that_of_each_channel() {
    let settings = Preprocessing::named("imagenet").unwrap();
    let bytes: Vec<u8> = (0..3 * 40).map(|i| (i * 37 % 256) as u8).collect();
    for (i, value) in settings.normalisation().values(&bytes).into_iter().enumerate() {
        let want = (f64::from(bytes[i]) / 255. - f64::from(settings.mean[i % 3])) / f64::from(settings.std[i % 3]);
        assert!((f64::from(value) - want).abs() < 1e-6, "{i}: {value} instead of {want}");
    }
    let cifar = Normalisation::CIFAR.values(&[0, 127, 255]);
    assert_eq!(cifar, [-1., (127f32 / 255. - 0.5) / 0.5, 1.]);
}

#[test]
fn settings_have_names_and_are_changed_from_them() {
    for (name, settings, _) in NAMED {
        assert_eq!(Preprocessing::read(&json!(name)).unwrap(), *settings);
        assert_eq!(
            Preprocessing::read(&serde_json::to_value(settings).unwrap()).unwrap(),
            *settings,
            "{name} is written out whole"
        );
    }
    let smaller = Preprocessing::read(&json!({"like": "imagenet", "size": 112})).unwrap();
    assert_eq!((smaller.size, smaller.resize, smaller.mean), (112, 128, [0.485, 0.456, 0.406]));
    let given =
        Preprocessing::read(&json!({"like": "imagenet", "size": 112, "resize": 112, "interpolation": "bicubic"})).unwrap();
    assert_eq!((given.resize, given.interpolation), (112, Interpolation::Bicubic));
    let refused = |value: Value| format!("{:#}", Preprocessing::read(&value).unwrap_err());
    for (value, words) in [
        (json!("imagenette"), "known: cifar, cifar-fixmatch, imagenet, imagenet-inception, efficientnet-lite"),
        (json!(224), "a name such as"),
        (json!({"like": "x", "size": 3}), "input.like: input is \"x\""),
        (json!({"like": "imagenet", "size": 4}), "input.size is 4; 8 to 2048"),
        (json!({"like": "imagenet", "size": 224, "resize": 200}), "input.resize is 200; 224"),
        (json!({"like": "imagenet", "interpolation": "linear"}), "input.interpolation: unknown variant `linear`"),
        (json!({"like": "imagenet", "std": [0.2, 0, 0.2]}), "input.std"),
        (json!({"like": "imagenet", "mean": [124, 116, 104]}), "input.mean"),
        (json!({"like": "imagenet", "train_crop": {"kind": "resized", "scale": [0.5, 2]}}), "input.train_crop.scale is [0.5, 2]"),
        (json!({"size": 224}), "input: missing field"),
        (json!({"like": "imagenet", "sizes": 1}), "unknown field `sizes`"),
    ] {
        let error = refused(value);
        assert!(error.contains(words), "{words}: {error}");
    }
}
