//! ONNX files against the answers of ONNX Runtime, and files that are refused.
#![allow(clippy::unwrap_used, clippy::panic, missing_docs, reason = "helpers of tests may stop")]

use candle_core::{DType, Device, Result, Tensor};
use prost::Message;
use sncn_core::{Network, Pass};
use sncn_onnx::{Classifier, Layout, OnnxError, Reading, Segmenter};
use std::fs;
use std::path::{Path, PathBuf};
use tract_onnx::pb::tensor_shape_proto::dimension::Value as Dim;
use tract_onnx::pb::type_proto::Value as Kind;
use tract_onnx::pb::{GraphProto, ModelProto, NodeProto, StringStringEntryProto, TensorShapeProto};

fn data(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data").join(name)
}

fn reading(size: usize) -> Reading {
    Reading { size, ..Reading::default() }
}

/// The images of `make.py`.
fn images(batch: usize, side: usize) -> Result<Tensor> {
    let values = (0..batch * side * side * 3).map(|index| ((index * 37 % 101) as f64 / 101. - 0.5) as f32).collect();
    Tensor::from_vec(values, (batch, side, side, 3), &Device::Cpu)
}

/// What must be answered: the batch, the side of images, and the answers.
fn expected(name: &str) -> (usize, usize, Vec<Vec<f64>>) {
    let all: serde_json::Value = serde_json::from_str(&fs::read_to_string(data("expected.json")).unwrap()).unwrap();
    let one = &all[name];
    let count = |key: &str| one[key].as_u64().unwrap() as usize;
    (count("batch"), count("side"), serde_json::from_value(one["answers"].clone()).unwrap())
}

/// The model of a file, changed and written beside others; gives the path of the folder's file.
fn changed(name: &str, change: impl FnOnce(&mut ModelProto)) -> (tempfile::TempDir, PathBuf) {
    let mut model = ModelProto::decode(fs::read(data(name)).unwrap().as_slice()).unwrap();
    change(&mut model);
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(name);
    fs::write(&path, model.encode_to_vec()).unwrap();
    (folder, path)
}

fn graph(model: &mut ModelProto) -> &mut GraphProto {
    model.graph.as_mut().unwrap()
}

/// The shape that a graph declares for its input.
fn shape(graph: &mut GraphProto) -> &mut TensorShapeProto {
    let Some(Kind::TensorType(tensor)) = &mut graph.input[0].r#type.as_mut().unwrap().value else { panic!("no tensor") };
    tensor.shape.as_mut().unwrap()
}

fn refusal(path: &Path, reading: &Reading) -> OnnxError {
    match Classifier::open(path, reading) {
        Ok(model) => panic!("it is taken: {}", model.describe()),
        Err(error) => error,
    }
}

#[test]
fn golden_answers_are_those_of_onnx_runtime() -> Result<()> {
    // of how many nodes how many run on the kernels
    for (name, in_body) in [
        ("residual", "14 of 16"),
        ("dense", "11 of 14"),
        ("mobile", "9 of 11"),
        ("gated", "1 of 11"),
        ("uneven", "0 of 7"),
        ("light", "2 of 3"),
        ("filled", "3 of 6"),
    ] {
        let (batch, side, answers) = expected(name);
        let model = Classifier::open(&data(&format!("{name}.onnx")), &reading(side)).unwrap();
        assert!(model.describe().contains(&format!("{in_body} nodes")), "{}", model.describe());
        assert_eq!(model.classes(), answers[0].len());
        let found = model.forward(&images(batch, side)?, &Pass::eval())?;
        // a softmax is taken back, so that all answers are logits
        let is_softmax = name == "dense";
        let found = found.to_dtype(DType::F64)?.to_vec2::<f64>()?;
        for (found, wanted) in found.iter().zip(&answers) {
            let largest = wanted.iter().fold(0f64, |most, value| most.max(value.abs()));
            for (found, wanted) in found.iter().zip(wanted) {
                let found = if is_softmax { found.exp() } else { *found };
                assert!((found - wanted).abs() <= 1e-5 * largest, "{name}: {found} against {wanted}");
            }
        }
        assert_eq!(model.describe().contains("probabilities"), is_softmax, "{}", model.describe());
    }
    Ok(())
}

#[test]
fn golden_scores_of_pixels_are_those_of_onnx_runtime() -> Result<()> {
    for (name, classes, is_last, part) in [("pixels", 3, false, 2), ("shade", 2, true, 1)] {
        let (batch, side, answers) = expected(name);
        let model = Segmenter::open(&data(&format!("{name}.onnx")), Reading::default(), (side, side)).unwrap();
        assert_eq!(model.classes(), classes);
        let found = model.forward(&images(batch, side)?, &Pass::eval())?;
        assert_eq!(found.dims(), [batch, side, side, classes]);
        let wanted = Tensor::from_vec(answers.concat(), batch * answers[0].len(), &Device::Cpu)?;
        let side_of = side / part;
        let wanted = match is_last {
            true => wanted.reshape((batch, side_of, side_of, classes))?,
            false => wanted.reshape((batch, classes, side_of, side_of))?.permute((0, 2, 3, 1))?.contiguous()?,
        };
        let wanted = sncn_core::ops::resize_bilinear(&wanted, (side, side))?;
        let apart = (found.to_dtype(DType::F64)? - &wanted)?.abs()?.max_all()?.to_vec0::<f64>()?;
        let largest = wanted.abs()?.max_all()?.to_vec0::<f64>()?;
        assert!(apart <= 1e-5 * largest, "{name}: {apart} of {largest}");
        // images of another size are prepared as they come
        let other = images(2, 48)?.narrow(1, 0, 40)?.contiguous()?;
        assert_eq!(model.forward(&other, &Pass::eval())?.dims(), [2, 40, 48, classes]);
        assert!(model.describe().contains(&format!("{classes} classes a pixel")), "{}", model.describe());
    }
    let error = Segmenter::open(&data("residual.onnx"), Reading::default(), (64, 64)).err().unwrap().to_string();
    assert!(error.contains("has shape 2 x 5 for two images of 64 x 64"), "{error}");
    Ok(())
}

#[test]
fn both_parts_give_what_the_graph_gives() -> Result<()> {
    // an operator that changes nothing at the beginning keeps the whole graph on tract
    let (_folder, path) = changed("residual.onnx", |model| {
        let graph = graph(model);
        graph.node[0].input[0] = "scaled".to_string();
        let first = NodeProto {
            input: vec!["images".into()],
            output: vec!["scaled".into()],
            op_type: "Floor".into(),
            ..NodeProto::default()
        };
        graph.node.insert(0, first);
    });
    let whole = Classifier::open(&path, &reading(64)).unwrap();
    assert!(whole.describe().contains("0 of 17 nodes"), "{}", whole.describe());
    let xs = (images(3, 64)? * 8.)?.floor()?;
    let split = Classifier::open(&data("residual.onnx"), &reading(64)).unwrap();
    let difference =
        (whole.forward(&xs, &Pass::eval())? - split.forward(&xs, &Pass::eval())?)?.abs()?.max_all()?.to_vec0::<f32>()?;
    assert!(difference < 1e-4, "{difference}");
    // an answer does not depend on the others of its batch
    let one = split.forward(&xs.narrow(0, 2, 1)?, &Pass::eval())?;
    let all = split.forward(&xs, &Pass::eval())?.narrow(0, 2, 1)?;
    assert!((one - all)?.abs()?.max_all()?.to_vec0::<f32>()? < 1e-5);
    Ok(())
}

#[test]
fn a_head_that_nothing_needs_is_left_out() -> Result<()> {
    let (_folder, path) = changed("residual.onnx", |model| {
        let graph = graph(model);
        let mut other = graph.output[0].clone();
        other.name = "v5".to_string();
        graph.output.push(other);
    });
    let model = Classifier::open(&path, &reading(64)).unwrap();
    assert_eq!(model.classes(), 5);
    let error = refusal(&path, &Reading { output: Some("v5".to_string()), ..reading(64) }).to_string();
    assert!(error.contains("the output \"v5\" has shape 2 x") && error.contains("name another output"), "{error}");
    let error = refusal(&path, &Reading { output: Some("scores".to_string()), ..reading(64) }).to_string();
    assert!(error.contains("no output \"scores\"; known: v16, v5"), "{error}");
    Ok(())
}

#[test]
fn what_does_not_classify_images_is_refused() {
    let fails = |change: fn(&mut ModelProto), words: &[&str]| {
        let (_folder, path) = changed("residual.onnx", change);
        let error = refusal(&path, &reading(64)).to_string();
        assert!(words.iter().all(|word| error.contains(word)), "{error}");
    };
    fails(
        |model| {
            let mut second = graph(model).input[0].clone();
            second.name = "mask".to_string();
            graph(model).input.push(second);
        },
        &["2 inputs (\"images\", \"mask\"); one is accepted"],
    );
    fails(
        |model| {
            let Some(Kind::TensorType(tensor)) = &mut graph(model).input[0].r#type.as_mut().unwrap().value else { panic!() };
            tensor.elem_type = 2;
        },
        &["the input \"images\" is UINT8; FLOAT is accepted"],
    );
    fails(|model| _ = shape(graph(model)).dim.pop(), &["has shape ? x 3 x 64; accepted: N x 3 x H x W"]);
    fails(
        |model| shape(graph(model)).dim[1].value = Some(Dim::DimValue(4)),
        &["does not tell where its 3 channels are", "nchw or nhwc"],
    );
    fails(|model| shape(graph(model)).dim[2].value = Some(Dim::DimValue(48)), &["it takes images of 48 x 64 pixels", "64 x 64"]);
    fails(
        |model| graph(model).node[1].op_type = "Sorcery".to_string(),
        &["operators that are not implemented: Sorcery (node \"n2\")"],
    );
    fails(|model| graph(model).node[2].input[0] = "nowhere".to_string(), &["residual.onnx", "nowhere"]);
    fails(
        |model| graph(model).node.last_mut().unwrap().output[0] = "elsewhere".to_string(),
        &["nothing in the graph gives the output"],
    );
    fails(|model| model.graph = None, &["not a whole ONNX model: it has no graph"]);
    fails(
        |model| {
            let constant = &mut graph(model).initializer[0];
            constant.raw_data.clear();
            constant.data_location = Some(1);
            let entry = |key: &str, value: &str| StringStringEntryProto { key: key.to_string(), value: value.to_string() };
            constant.external_data = vec![entry("location", "weights.bin")];
        },
        &["the constant \"c0\" cannot be read", "weights.bin"],
    );
    fails(
        |model| {
            let constant = &mut graph(model).initializer[0];
            constant.raw_data.clear();
            constant.data_location = Some(1);
            constant.external_data = vec![StringStringEntryProto { key: "location".into(), value: "../weights.bin".into() }];
        },
        &["the constant \"c0\" is said to be in \"../weights.bin\"; a file beside the model is accepted"],
    );
    fails(
        |model| {
            let Some(bias) = graph(model).initializer.last_mut() else { panic!() };
            bias.raw_data.chunks_exact_mut(4).for_each(|value| value.copy_from_slice(&f32::NAN.to_le_bytes()));
        },
        &["it answers NaN to an image of noise"],
    );
}

#[test]
fn an_order_of_axes_that_is_none_is_refused() {
    let (_folder, path) = changed("shade.onnx", |model| {
        let order = graph(model).node.last_mut().unwrap().attribute.last_mut().unwrap();
        order.ints = vec![1, 2, 3, 1];
    });
    let error = Segmenter::open(&path, Reading::default(), (32, 32)).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("perm is [1, 2, 3, 1], which is no order of axes"), "{error}");
}

#[test]
fn files_that_are_cut_short_or_none_are_refused() {
    let whole = fs::read(data("dense.onnx")).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("cut.onnx");
    for length in (0..whole.len()).step_by(97) {
        fs::write(&path, &whole[..length]).unwrap();
        let error = refusal(&path, &reading(32)).to_string();
        assert!(error.starts_with(&path.display().to_string()), "{error}");
    }
    for bytes in [b"\x89PNG\r\n\x1a\n".as_slice(), b"<html>no model</html>", &[0xff; 64]] {
        fs::write(&path, bytes).unwrap();
        assert!(refusal(&path, &reading(32)).to_string().contains("not a whole ONNX model"));
    }
    assert!(matches!(refusal(&folder.path().join("none.onnx"), &reading(32)), OnnxError::Read { .. }));
}

#[test]
fn files_with_damaged_bytes_are_models_or_errors() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let (path, mut state) = (folder.path().join("damaged.onnx"), 1u64);
    let mut next = |below: usize| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 33) as usize % below
    };
    for name in ["dense", "mobile", "uneven"] {
        let whole = fs::read(data(&format!("{name}.onnx")))?;
        for _ in 0..100 {
            let mut bytes = whole.clone();
            for _ in 0..1 + next(3) {
                let at = next(bytes.len());
                bytes[at] = next(256) as u8;
            }
            fs::write(&path, &bytes)?;
            if let Ok(model) = Classifier::open(&path, &reading(32))
                && let Ok(scores) = model.forward(&images(2, 32)?, &Pass::eval())
            {
                assert_eq!(scores.dims(), [2, model.classes()]);
            }
        }
    }
    Ok(())
}

#[test]
fn layouts_are_told_apart_or_given() {
    // a file that names no dimension of its input
    let free = |model: &mut ModelProto| {
        shape(graph(model)).dim.iter_mut().for_each(|dim| dim.value = Some(Dim::DimParam("d".to_string())))
    };
    let (_folder, path) = changed("mobile.onnx", free);
    assert!(refusal(&path, &reading(32)).to_string().contains("give the layout"));
    let given = Reading { layout: Some(Layout::Nhwc), ..reading(32) };
    assert_eq!(Classifier::open(&path, &given).unwrap().classes(), 3);
    let (_folder, path) = changed("residual.onnx", free);
    let given = Reading { layout: Some(Layout::Nchw), ..reading(96) };
    let model = Classifier::open(&path, &given).unwrap();
    let error = model.forward(&images(1, 64).unwrap(), &Pass::eval()).unwrap_err().to_string();
    assert!(error.contains("images 64 x 64 x 3") && error.contains("96"), "{error}");
    assert!(model.forward(&images(1, 96).unwrap(), &Pass::train(sncn_core::Seed::new(0))).is_err());
}
