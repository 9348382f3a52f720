use super::*;
use candle_core::DType;
use sncn_core::loss::value;
use std::collections::HashMap;

/// A folder with `styles/<name>.png` of these mean bytes, and room for weights.
fn folder(means: &[[u8; 3]]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::create_dir(folder.path().join("styles")).unwrap();
    for (at, mean) in means.iter().enumerate() {
        let image = image::RgbImage::from_fn(20, 18, |x, y| {
            image::Rgb(std::array::from_fn(|c| mean[c] + ((x * 5 + y * 3 + c as u32) % 23) as u8))
        });
        image.save(folder.path().join(format!("styles/{at}.png"))).unwrap();
    }
    folder
}

fn settings(folder: &tempfile::TempDir) -> Restyle {
    let source = folder.path().join("styles").display().to_string();
    Restyle { source, share: 1., strength: 1., size: None, encoder: None, decoder: None }
}

fn open(settings: &Restyle) -> Result<Styles> {
    Styles::open(settings, &DataDir { path: None })
}

fn photo(dims: Dims) -> Photo {
    let bytes = (0..dims.bytes()).map(|i| 90 + (i * i % 61) as u8).collect();
    Photo::new(dims, bytes).unwrap()
}

fn restyled(settings: &Restyle, dims: Dims, seed: u64) -> Result<Photo> {
    let mut out = photo(dims);
    open(settings)?.apply(&mut out, &mut Photo::default(), Seed::new(seed))?;
    Ok(out)
}

const DIMS: Dims = Dims { height: 24, width: 19 };

#[test]
fn pixels_take_the_statistics_of_a_style_as_far_as_they_are_told_to() {
    let folder = folder(&[[40, 100, 160]]);
    let one = settings(&folder);
    let style = picture::read(&folder.path().join("styles/0.png"), Limit::default()).unwrap();
    let style = Moments::of_bytes(Photo::from(style).bytes());
    let own = Moments::of_bytes(photo(DIMS).bytes());
    for strength in [1., 0.5, 0.] {
        let found = restyled(&Restyle { strength, ..one.clone() }, DIMS, 1).unwrap();
        let found = Moments::of_bytes(found.bytes());
        for c in 0..3 {
            // bytes are rounded
            let mean = own.mean[c] + strength * (style.mean[c] - own.mean[c]);
            let std = own.std[c] + strength * (style.std[c] - own.std[c]);
            assert!((found.mean[c] - mean).abs() < 2e-3 && (found.std[c] - std).abs() < 2e-3, "{strength}: {found:?}");
        }
    }
    assert_eq!(restyled(&Restyle { share: 0., ..one.clone() }, DIMS, 1).unwrap(), photo(DIMS));
    assert_eq!(restyled(&Restyle { strength: 0., ..one.clone() }, DIMS, 1).unwrap(), photo(DIMS));
    // reduced first, and back at its size where that is asked for
    let small = Restyle { size: Some(12), ..one };
    assert_eq!(restyled(&small, DIMS, 1).unwrap().dims(), Dims { height: 15, width: 12 });
    let back = open(&small).unwrap().of_size(photo(DIMS).into_bytes(), DIMS, Seed::new(1)).unwrap();
    assert_eq!(back.len(), DIMS.bytes());
}

#[test]
fn styles_and_images_are_drawn_from_the_stream() {
    let folder = folder(&[[10, 60, 200], [120, 30, 90], [200, 200, 20]]);
    let half = Restyle { share: 0.5, ..settings(&folder) };
    let all: Vec<Photo> = (0..60).map(|seed| restyled(&half, DIMS, seed).unwrap()).collect();
    let unchanged = all.iter().filter(|one| **one == photo(DIMS)).count();
    assert!((18..=42).contains(&unchanged), "{unchanged}");
    let mut kinds: Vec<&[u8]> = all.iter().map(Photo::bytes).collect();
    kinds.sort_unstable();
    kinds.dedup();
    assert_eq!(kinds.len(), 4);
    assert_eq!(all[..9], (0..9).map(|seed| restyled(&half, DIMS, seed).unwrap()).collect::<Vec<_>>());
}

/// Weights with the published numbers and other widths, saved as files; `change` is made to their shapes first.
fn weights(folder: &tempfile::TempDir, change: impl Fn(&str, &mut Vec<usize>)) -> [HashMap<String, Tensor>; 2] {
    let encoder = [
        (0, 1, 3, 3),
        (2, 3, 3, 5),
        (5, 3, 5, 4),
        (9, 3, 4, 6),
        (12, 3, 6, 5),
        (16, 3, 5, 7),
        (19, 3, 7, 6),
        (22, 3, 6, 6),
        (25, 3, 6, 5),
        (29, 3, 5, 8),
    ];
    let decoder = [
        (1, 3, 8, 6),
        (5, 3, 6, 5),
        (8, 3, 5, 5),
        (11, 3, 5, 6),
        (14, 3, 6, 4),
        (18, 3, 4, 5),
        (21, 3, 5, 4),
        (25, 3, 4, 4),
        (28, 3, 4, 3),
    ];
    [("encoder", &encoder[..]), ("decoder", &decoder[..])].map(|(what, layers)| {
        let mut tensors = HashMap::new();
        for &(at, side, from, to) in layers {
            for (name, mut shape) in [(format!("{at}.weight"), vec![to, from, side, side]), (format!("{at}.bias"), vec![to])] {
                change(&format!("{what} {name}"), &mut shape);
                let fan = if shape.len() == 4 { (from * side * side) as f64 } else { 30. };
                let values = Seed::new(at).named(&name).normal(shape).unwrap();
                tensors.insert(name, (values * (1.5 / fan.sqrt())).unwrap());
            }
        }
        candle_core::safetensors::save(&tensors, folder.path().join(format!("{what}.safetensors"))).unwrap();
        tensors
    })
}

fn with_network(folder: &tempfile::TempDir) -> Restyle {
    let file = |name: &str| Some(folder.path().join(name).display().to_string());
    Restyle { encoder: file("encoder.safetensors"), decoder: file("decoder.safetensors"), ..settings(folder) }
}

/// The published sequence of modules, channels first.
fn reference(weights: &HashMap<String, Tensor>, modules: &[&str], mut xs: Tensor) -> candle_core::Result<Tensor> {
    for module in modules {
        xs = match *module {
            "relu" => xs.relu()?,
            "up" => xs.upsample_nearest2d(2 * xs.dim(2)?, 2 * xs.dim(3)?)?,
            "pool" => {
                let (rows, columns) = (xs.dim(2)?, xs.dim(3)?);
                // as many windows as begin inside the map
                let xs = xs.pad_with_same(2, 0, rows % 2)?.pad_with_same(3, 0, columns % 2)?;
                let (n, c, h, w) = xs.dims4()?;
                xs.reshape((n, c, h / 2, 2, w / 2, 2))?.max(5)?.max(3)?
            }
            number => {
                let weight = &weights[&format!("{number}.weight")];
                for dim in [2, 3].into_iter().filter(|_| weight.dim(2).is_ok_and(|side| side == 3)) {
                    let length = xs.dim(dim)?;
                    xs = Tensor::cat(&[xs.narrow(dim, 1, 1)?, xs.clone(), xs.narrow(dim, length - 2, 1)?], dim)?;
                }
                let bias = &weights[&format!("{number}.bias")];
                xs.conv2d(weight, 0, 1, 1, 1)?.broadcast_add(&bias.reshape((1, (), 1, 1))?)?
            }
        };
    }
    Ok(xs)
}

const ENCODER: [&str; 22] = [
    "0", "2", "relu", "5", "relu", "pool", "9", "relu", "12", "relu", "pool", "16", "relu", "19", "relu", "22", "relu", "25",
    "relu", "pool", "29", "relu",
];
const DECODER: [&str; 20] = [
    "1", "relu", "up", "5", "relu", "8", "relu", "11", "relu", "14", "relu", "up", "18", "relu", "21", "relu", "up", "25",
    "relu", "28",
];

#[test]
fn features_take_the_statistics_of_a_style_as_the_published_network_does() -> Result<()> {
    let folder = folder(&[[40, 100, 160]]);
    let [encoder, decoder] = weights(&folder, |_, _| ());
    let network = open(&with_network(&folder))?;
    let network = network.network.as_ref().context("no network")?;
    let first = |photo: &Photo| tensor(photo)?.permute((0, 3, 1, 2))?.contiguous();
    let style = Photo::from(picture::read(&folder.path().join("styles/0.png"), Limit::default())?);
    for dims in [Dims::square(16), Dims { height: 19, width: 26 }] {
        let [content, wanted] = [&photo(dims), &style].map(|photo| reference(&encoder, &ENCODER, first(photo)?));
        let (content, wanted) = (content?, wanted?);
        let moments = |map: &Tensor| -> candle_core::Result<(Tensor, Tensor)> {
            let flat = map.flatten_from(2)?;
            Ok((flat.mean_keepdim(2)?.unsqueeze(3)?, (flat.var_keepdim(2)? + 1e-5)?.sqrt()?.unsqueeze(3)?))
        };
        let ((mean, std), (other, deviation)) = (moments(&content)?, moments(&wanted)?);
        let swapped = content.broadcast_sub(&mean)?.broadcast_div(&std)?.broadcast_mul(&deviation)?.broadcast_add(&other)?;
        for strength in [1., 0.3] {
            let features = ((&swapped * strength)? + (&content * (1. - strength))?)?;
            let out = reference(&decoder, &DECODER, features)?.permute((0, 2, 3, 1))?;
            let out = out.narrow(1, 0, dims.height)?.narrow(2, 0, dims.width)?;
            let found = network.restyled(&tensor(&photo(dims))?, &network.moments(&tensor(&style)?)?, strength)?;
            let scale = value(&out.abs()?.max_all()?)?;
            let off = value(&(found - &out)?.abs()?.max_all()?.to_dtype(DType::F64)?)?;
            assert!(scale > 0.1 && off < 1e-4 * scale, "{dims:?} {strength}: {off} of {scale}");
        }
    }
    let whole = restyled(&with_network(&folder), Dims { height: 300, width: 260 }, 1)?;
    assert_eq!(whole.dims(), Dims { height: 258, width: 224 });
    Ok(())
}

#[test]
fn what_does_not_fit_is_told() {
    let folder = folder(&[[40, 100, 160]]);
    let refused = |settings: &Restyle, words: &[&str]| {
        let error = format!("{:#}", restyled(settings, Dims::square(20), 1).unwrap_err());
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    let one = settings(&folder);
    refused(&Restyle { share: 1.5, ..one.clone() }, &["share is 1.5; 0 to 1 is accepted"]);
    refused(&Restyle { strength: -1., ..one.clone() }, &["strength is -1"]);
    refused(&Restyle { source: "nowhere".to_string(), ..one.clone() }, &["style.source", "nowhere: no such file or folder"]);
    refused(&Restyle { encoder: Some("x.pth".to_string()), ..one.clone() }, &["encoder and decoder go together"]);
    let both = with_network(&folder);
    refused(&both, &["there is no", "encoder.safetensors"]);
    weights(&folder, |_, _| ());
    refused(&Restyle { size: Some(8), ..both.clone() }, &["size is 8; at least 16 is accepted"]);
    let error = format!("{:#}", restyled(&both, Dims { height: 15, width: 40 }, 1).unwrap_err());
    assert!(error.contains("15 × 40 pixels are too few for the encoder"), "{error}");
    weights(&folder, |name, shape| {
        if name == "encoder 9.weight" {
            shape[1] = 9
        }
    });
    refused(&both, &["encoder.safetensors: an encoder of other shapes: 9.weight is [6, 9, 3, 3], and [any, 4, 3, 3] is wanted"]);
    weights(&folder, |name, shape| {
        if name == "decoder 28.weight" {
            shape[0] = 2
        }
    });
    refused(&both, &["decoder.safetensors: the decoder gives 2 channels; 3 are wanted"]);
    weights(&folder, |name, shape| {
        if name == "decoder 1.weight" {
            shape[1] = 7
        }
    });
    refused(&both, &["the encoder gives 8 channels, and the decoder", "takes 7"]);
    let [mut fewer, _] = weights(&folder, |_, _| ());
    fewer.remove("29.weight");
    candle_core::safetensors::save(&fewer, folder.path().join("encoder.safetensors")).unwrap();
    refused(&both, &["encoder.safetensors: no 29.weight, which the encoder of AdaIN has"]);
    std::fs::write(folder.path().join("styles/1.png"), "no picture").unwrap();
    refused(&one, &["style.source", "1.png"]);
}
