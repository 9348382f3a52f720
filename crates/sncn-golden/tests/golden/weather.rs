//! JPEG, pixelate, fog, frost, elastic transform, snow and spatter against golden bytes, floats and intermediate values.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use crate::corruptions::{INDEX, tensors};
use anyhow::Result;
use sncn_core::Seed;
use sncn_golden::json;
use sncn_vision::corruption::elastic::ElasticTransform;
use sncn_vision::corruption::fog::Fog;
use sncn_vision::corruption::frost::FrostOverlay;
use sncn_vision::corruption::snow::Snow;
use sncn_vision::corruption::spatter::Spatter;
use sncn_vision::corruption::{Dims, Frost, Scratch, Variant, build, truncate, truncate_unit};
use std::sync::LazyLock;

static FROST: LazyLock<Frost> = LazyLock::new(|| Frost::generated(Seed::new(0)));

/// The corruptions whose cases run here.
pub(crate) const NAMES: [&str; 7] = ["snow", "frost", "fog", "elastic_transform", "pixelate", "jpeg_compression", "spatter"];

fn wide(values: &[f32]) -> Vec<f64> {
    values.iter().map(|&v| f64::from(v)).collect()
}

/// What the golden data injects for one image.
#[derive(Default)]
struct Draws {
    normal: Vec<f32>,
    fog: Vec<f64>,
    affine: Vec<f64>,
    dx: Vec<f32>,
    dy: Vec<f32>,
    angle: f64,
    crop: Vec<u8>,
}

impl Draws {
    /// The draws of fog from number `first` on, again from the first one after the last.
    fn fog(&self, first: usize, values: &mut [f64]) {
        values.iter_mut().zip(first..).for_each(|(value, i)| *value = self.fog[i % self.fog.len()]);
    }
}

/// Bytes and the float result on the scale 0..1 (empty where there is none).
fn corrupt(name: &str, severity: usize, variant: Variant, image: &[u8], dims: Dims, draws: &Draws) -> (Vec<u8>, Vec<f64>) {
    let (mut out, mut y) = (vec![0; dims.bytes()], vec![0.0; dims.bytes()]);
    let mut scratch = Scratch::default();
    match name {
        "fog" => {
            let fog = Fog::new(severity, variant).unwrap();
            let side = fog.map_side(dims);
            let mut map = vec![0.0; side * side];
            let plasma = fog.plasma(side, &mut map, |first, values| draws.fog(first, values));
            let image = (image, *image.iter().max().unwrap());
            y.clear();
            fog.float(image, dims, 0..dims.height, &plasma, &mut scratch.f64s[0], |_, row| y.extend_from_slice(row));
        }
        "frost" => {
            let overlay = FrostOverlay::new(severity, variant, &FROST).unwrap();
            y = image.iter().zip(&draws.crop).map(|(&x, &t)| overlay.value(x, t).clamp(0.0, 255.0)).collect();
            let out = y.iter().map(|&v| v as u8).collect();
            return (out, y.iter().map(|v| v / 255.0).collect());
        }
        "snow" => {
            let snow = Snow::new(severity, variant).unwrap();
            let (mut layer, mut blurred) = (vec![0; dims.pixels()], vec![0; dims.pixels()]);
            snow.layer(dims, &draws.normal, &mut scratch, &mut layer);
            snow.blur(&layer, dims, draws.angle, &mut scratch, &mut blurred);
            snow.float(image, &blurred, 0, &mut y);
        }
        "spatter" => {
            let spatter = Spatter::new(severity, variant).unwrap();
            let (mut strength, mut y) = (vec![0.0; dims.pixels()], vec![0.0; dims.bytes()]);
            spatter.strength(dims, &draws.normal, &mut scratch, &mut strength);
            spatter.float(image, &strength, &mut y);
            truncate(&y, &mut out);
            return (out, y.iter().map(|&v| f64::from(v) / 255.0).collect());
        }
        "elastic_transform" => {
            let elastic = ElasticTransform::new(severity, variant).unwrap();
            let map = elastic.source_map(dims, &draws.affine.clone().try_into().unwrap());
            let mut warped = vec![[0.0; 3]; dims.pixels()];
            elastic.affine(image, dims, &map, 0..dims.height, &mut warped);
            let (mut dx, mut dy) = (draws.dx.clone(), draws.dy.clone());
            elastic.displacement(dims, &draws.dx, &mut scratch, &mut dx);
            elastic.displacement(dims, &draws.dy, &mut scratch, &mut dy);
            elastic.displace((0, &warped), dims, [&dx, &dy], 0..dims.height, y.as_chunks_mut::<3>().0);
        }
        _ => {
            build(name, severity, variant, &FROST).unwrap().apply_one(image, dims, Seed::new(0), 0, &mut out).unwrap();
            return (out, Vec::new());
        }
    }
    truncate_unit(&y, &mut out);
    (out, y)
}

fn limit(name: &str) -> (u8, f64) {
    match name {
        "snow" | "spatter" | "elastic_transform" => (1, 0.01),
        _ => (0, 0.0),
    }
}

fn compare(what: &str, name: &str, got: &[u8], want: &[u8]) {
    assert_eq!(got.len(), want.len());
    let largest = got.iter().zip(want).map(|(g, w)| g.abs_diff(*w)).max().unwrap();
    let share = got.iter().zip(want).filter(|(g, w)| g != w).count() as f64 / got.len() as f64;
    let (most, often) = limit(name);
    assert!(largest <= most && share <= often, "{what}: largest difference {largest}, share {share}");
}

fn cifar_draws(severity: usize, image: usize) -> Draws {
    let draws = tensors("cifar_draws");
    let f32s = |key: &str, at: &[usize]| draws.f32(key).unwrap().part(at).to_vec();
    Draws {
        fog: wide(&f32s("fog_u", &[image])),
        affine: wide(&f32s("elastic_affine_u", &[image])),
        dx: f32s("elastic_dx_u", &[image]),
        dy: f32s("elastic_dy_u", &[image]),
        angle: f64::from(f32s("snow_angle", &[severity - 1, image])[0]),
        crop: draws.u8("frost_crop").unwrap().part(&[severity - 1, image]).to_vec(),
        ..Draws::default()
    }
}

pub(crate) fn golden_cifar_weather() -> Result<()> {
    let images = tensors("images").u8("images").unwrap();
    let (fixed, random, floats) = (tensors("cifar_deterministic"), tensors("cifar_random"), tensors("cifar_float"));
    let normal = tensors("cifar_draws").f32("normal").unwrap();
    let side = images.shape[1];
    let dims = Dims { height: side, width: side };
    for name in NAMES {
        let (want, drawn) = fixed.u8(name).map(|t| (t, false)).unwrap_or_else(|_| (random.u8(name).unwrap(), true));
        for severity in 1..=want.shape[0] {
            for image in 0..want.shape[1] {
                let mut draws = if drawn { cifar_draws(severity, image) } else { Draws::default() };
                if drawn {
                    let channel = usize::from(name == "spatter");
                    draws.normal = normal.part(&[image]).iter().copied().skip(channel).step_by(3).collect();
                }
                let (got, y) = corrupt(name, severity, Variant::Cifar, images.part(&[image]), dims, &draws);
                compare(&format!("{name} {severity} image {image}"), name, &got, want.part(&[severity - 1, image]));
                if image > 0 || severity % 2 == 0 || y.is_empty() {
                    continue;
                }
                let want = floats.f32(name).unwrap();
                let want = want.part(&[severity / 2]);
                let worst =
                    y.iter().zip(want).map(|(g, &w)| (255.0 * g.clamp(0.0, 1.0) - f64::from(w)).abs()).fold(0.0, f64::max);
                assert!(worst <= 2e-3, "{name} {severity}: float differs by {worst}");
            }
        }
    }
    Ok(())
}

pub(crate) fn golden_intermediate_values() -> Result<()> {
    let golden = tensors("cifar_intermediate");
    let normal = tensors("cifar_draws").f32("normal").unwrap();
    let near = |what: &str, got: &[f64], want: &[f32], allowed: f64| {
        let worst = got.iter().zip(want).map(|(g, &w)| (g - f64::from(w)).abs()).fold(0.0, f64::max);
        assert!(got.len() == want.len() && worst <= allowed, "{what}: {worst}");
    };
    let plasma = golden.f32("fog_plasma").unwrap();
    let side = plasma.shape[2];
    let dims = Dims { height: side, width: side };
    let mut scratch = Scratch::default();
    for severity in 1..=plasma.shape[0] {
        for image in 0..plasma.shape[1] {
            let (at, what) = ([severity - 1, image], format!("severity {severity} image {image}"));
            let draws = cifar_draws(severity, image);
            let fog = Fog::new(severity, Variant::Cifar).unwrap();
            let (mut map, mut heights) = (vec![0.0; side * side], vec![0.0; side * side]);
            let made = fog.plasma(side, &mut map, |first, values| draws.fog(first, values));
            heights.chunks_exact_mut(side).enumerate().for_each(|(h, row)| made.row(h, row));
            near(&format!("fog {what}"), &heights, plasma.part(&at), 1e-6);
            let snow = Snow::new(severity, Variant::Cifar).unwrap();
            let z: Vec<f32> = normal.part(&[image]).iter().copied().step_by(3).collect();
            let (mut layer, mut blurred) = (vec![0; z.len()], vec![0; z.len()]);
            snow.layer(dims, &z, &mut scratch, &mut layer);
            assert_eq!(layer, golden.u8("snow_layer_before").unwrap().part(&at), "snow {what}");
            snow.blur(&layer, dims, draws.angle, &mut scratch, &mut blurred);
            assert_eq!(blurred, golden.u8("snow_layer_blurred").unwrap().part(&at), "snow {what}");
            let elastic = ElasticTransform::new(severity, Variant::Cifar).unwrap();
            for (axis, u) in [&draws.dx, &draws.dy].into_iter().enumerate() {
                let mut moved = u.clone();
                elastic.displacement(dims, u, &mut scratch, &mut moved);
                let want = golden.f32("elastic_displacement").unwrap();
                near(&format!("elastic {what}"), &wide(&moved), want.part(&[severity - 1, image, axis]), 1e-5);
            }
        }
    }
    Ok(())
}

pub(crate) fn golden_imagenet_weather() -> Result<()> {
    let index = json(INDEX).unwrap();
    let image = tensors("images").u8("image224").unwrap();
    let (draws, golden) = (tensors("imagenet_draws"), tensors("imagenet_tiles"));
    let (z, u) = (draws.f32("Z").unwrap().data, draws.f32("U").unwrap().data);
    let side = image.shape[0];
    let dims = Dims { height: side, width: side };
    let signed = |a: usize, b: usize| -> Vec<f32> {
        let at = |i: usize| u[(i / side + a) % side * side + (i % side + b) % side];
        (0..side * side).map(|i| 2.0 * at(i) - 1.0).collect()
    };
    let size = index["tiles224"]["size"].as_u64().unwrap() as usize;
    let corners: Vec<(usize, usize)> = serde_json::from_value(index["tiles224"]["row_col"].clone()).unwrap();
    for name in NAMES {
        let want = golden.u8(name).unwrap();
        for severity in 1..=5 {
            let all = Draws {
                normal: z.clone(),
                fog: wide(&signed(0, 0)),
                affine: wide(&draws.f32("elastic_affine_u").unwrap().data),
                dx: signed(0, 0),
                dy: signed(113, 71),
                angle: f64::from(draws.f32("snow_angle").unwrap().data[severity - 1]),
                crop: draws.u8("frost_crop").unwrap().data,
            };
            let full = corrupt(name, severity, Variant::Imagenet, &image.data, dims, &all).0;
            for (t, &(row, column)) in corners.iter().enumerate() {
                let got: Vec<u8> = (row..row + size).flat_map(|h| full[3 * (h * side + column)..][..3 * size].to_vec()).collect();
                compare(&format!("{name} {severity} tile {t}"), name, &got, want.part(&[severity - 1, t]));
            }
        }
    }
    Ok(())
}

fn data() -> Option<std::path::PathBuf> {
    std::env::var_os("SNCN_DATA").map(std::path::PathBuf::from).filter(|data| data.join("frost").is_dir())
}

/// Why the textures cannot be held to the golden ones.
pub(crate) fn no_textures() -> Option<String> {
    data().is_none().then(|| "SNCN_DATA names no folder with frost/".to_string())
}

pub(crate) fn golden_frost_textures() -> Result<()> {
    let data = data().expect("SNCN_DATA names the folder with frost/");
    let golden = tensors("frost_textures");
    let frost = Frost::from_folder(&data.join("frost")).unwrap();
    for (i, texture) in frost.textures(Variant::Cifar).iter().enumerate() {
        let want = golden.u8(&format!("texture{i}")).unwrap();
        assert_eq!([texture.dims.height, texture.dims.width], want.shape[..2], "texture {i}");
        let total: f64 = texture.bytes.iter().zip(&want.data).map(|(g, w)| f64::from(g.abs_diff(*w))).sum();
        // JPEG decoders differ by a step here and there
        assert!(total / want.data.len() as f64 <= 0.5, "texture {i}: mean difference {}", total / want.data.len() as f64);
    }
    Ok(())
}
