//! Networks of this crate as ONNX files, read back by another engine.

use candle_core::{DType, Device, Result, Tensor};
use sncn_core::{LayerConfig, Layers, Network, NormConfig, Pass, Seed, Vars};
use sncn_onnx::{Classifier, File, Reading, Segmenter, export};
use sncn_vision::backbone::{self, Blueprint};

const CLASSES: usize = 5;

/// A network whose BatchNorm layers have running statistics other than 0 and 1.
fn network(name: &str, layers: Layers<'_>) -> Result<Box<dyn Network>> {
    let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
    let network = backbone::build(name, &Blueprint { classes: CLASSES, layers, vars: &vars })?;
    for (index, (name, var)) in vars.all().into_iter().enumerate() {
        let noise = || Seed::new(index as u64).normal(var.shape())?.to_dtype(var.dtype());
        if name.ends_with("running_mean") || name.ends_with("x_ra") {
            var.set(&(noise()? * 0.2)?)?;
        } else if name.ends_with("running_var") || name.ends_with("x2_ra") {
            var.set(&(noise()?.sqr()? * 0.5)?.affine(1., 0.5)?)?;
        }
    }
    Ok(network)
}

/// The largest difference between a network and its file, in units of the largest logit.
fn difference(network: &dyn Network, size: usize, name: &str) -> Result<f64> {
    let folder = tempfile::tempdir()?;
    let path = folder.path().join("network.onnx");
    std::fs::write(&path, export(network, (size, size), &[("a", "b".to_string())])?)?;
    let wrap = |error: sncn_onnx::OnnxError| candle_core::Error::Msg(format!("{name}: {error}"));
    let file = File::read(&path).map_err(wrap)?;
    assert_eq!((file.note("a"), file.note("c")), (Some("b"), None));
    let read = Classifier::new(&file, &Reading { size, ..Reading::default() }).map_err(wrap)?;
    let xs: Tensor = Seed::new(3).normal((4, size, size, 3))?;
    let xs = xs.to_dtype(DType::F32)?;
    let (ours, theirs) = (network.forward(&xs, &Pass::eval())?, read.forward(&xs, &Pass::eval())?);
    let most = |xs: Tensor| xs.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>();
    Ok(most((&ours - &theirs)?)? / most(ours)?)
}

#[test]
fn every_backbone_is_the_same_as_an_onnx_file() -> Result<()> {
    for (name, size) in [
        ("wrn10_1", 32),
        ("wrn10_1_fixmatch", 32),
        ("allconv", 32),
        ("densenet10_4", 32),
        ("densenetbc16_4", 32),
        ("resnext11_2x4", 32),
        ("cifar_resnet18", 32),
        ("resnet18", 64),
        ("resnet18_ibn_a", 64),
        ("resnet18_ibn_b", 64),
        ("resnet18_maxblur", 70),
        ("resnet50", 64),
        ("efficientnet_lite0", 70),
    ] {
        let network = network(name, (&[]).into())?;
        let far = difference(&*network, size, name)?;
        assert!(far < 1e-4, "{name}: {far}");
    }
    Ok(())
}

#[test]
fn every_layer_is_the_same_as_an_onnx_file() -> Result<()> {
    for kind in sncn_core::layer::Registry::standard().names() {
        let layers = [LayerConfig::new(kind, "post")];
        let network = match network("wrn10_1", (&layers).into()) {
            Ok(network) => network,
            Err(error) => panic!("{kind}: {error}"),
        };
        let far = difference(&*network, 32, kind)?;
        assert!(far < 1e-4, "{kind}: {far}");
    }
    let on_image = [LayerConfig::new("selfnorm", "image")];
    assert!(difference(&*network("resnet18", (&on_image).into())?, 64, "image")? < 1e-4);
    let two = LayerConfig { settings: serde_json::from_str("{\"gates\": 2}").unwrap(), ..LayerConfig::new("selfnorm", "post") };
    assert!(difference(&*network("wrn10_1", (&[two]).into())?, 32, "two gates")? < 1e-4);
    Ok(())
}

#[test]
fn every_norm_is_the_same_as_an_onnx_file() -> Result<()> {
    for kind in ["instance_norm", "group_norm", "layer_norm", "mode_norm", "attentive_norm", "switchable_norm", "ibn_a"] {
        let norm = NormConfig::new(kind);
        let network = network("cifar_resnet18", Layers::from(&[]).with_norm(Some(&norm)))?;
        let far = difference(&*network, 32, kind)?;
        assert!(far < 1e-4, "{kind}: {far}");
    }
    Ok(())
}

#[test]
fn every_network_that_labels_pixels_is_the_same_as_an_onnx_file_for_images_of_any_size() -> Result<()> {
    let attached = [LayerConfig::new("selfnorm", "post")];
    for (name, layers) in
        [("fcn_resnet18_8", &[][..]), ("fcn_resnet18_8_ibn", &attached[..]), ("deeplabv3plus_resnet18_8", &[][..])]
    {
        let vars = Vars::new(Seed::new(7), DType::F32, &Device::Cpu);
        let network = backbone::segment::build(name, &Blueprint { classes: CLASSES, layers: layers.into(), vars: &vars })?;
        let folder = tempfile::tempdir()?;
        let path = folder.path().join("network.onnx");
        std::fs::write(&path, export(&*network, (72, 104), &[])?)?;
        let wrap = |error: sncn_onnx::OnnxError| candle_core::Error::Msg(format!("{name}: {error}"));
        let read = Segmenter::open(&path, Reading::default(), (72, 104)).map_err(wrap)?;
        assert_eq!(read.classes(), CLASSES);
        // the divisor of SelfNorm's variance, among others, is that of the image's own size
        for (height, width) in [(72, 104), (67, 90)] {
            let xs: Tensor = Seed::new(3).normal((2, height, width, 3))?;
            let xs = xs.to_dtype(DType::F32)?;
            let (ours, theirs) = (network.forward(&xs, &Pass::eval())?, read.forward(&xs, &Pass::eval())?);
            assert_eq!(ours.dims(), theirs.dims());
            let most = |xs: Tensor| xs.abs()?.max_all()?.to_dtype(DType::F64)?.to_scalar::<f64>();
            let far = most((&ours - &theirs)?)? / most(ours)?;
            assert!(far < 1e-5, "{name} at {height} x {width}: {far}");
        }
    }
    Ok(())
}
