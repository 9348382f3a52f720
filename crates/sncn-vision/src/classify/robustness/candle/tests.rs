//! Networks of candle-transformers from files of weights.

use super::*;
use candle_nn::VarMap;
use serde_json::json;

const CLASSES: usize = 5;

/// A small vision transformer in Hugging Face's words.
fn small_vit() -> Value {
    json!({
        "model_type": "vit", "hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 32,
        "hidden_act": "gelu", "layer_norm_eps": 1e-12, "image_size": 64, "patch_size": 16, "num_channels": 3, "qkv_bias": true
    })
}

/// Random weights without branches that networks can do without, and do in this form.
struct Drawn(VarMap, &'static [&'static str]);

impl SimpleBackend for Drawn {
    fn get(&self, shape: Shape, name: &str, init: Init, dtype: DType, device: &Device) -> candle_core::Result<Tensor> {
        // convolutions of no pixels stand for none
        if self.1.iter().any(|part| name.contains(part)) || shape.elem_count() == 0 {
            candle_core::bail!("{name}: left out")
        }
        self.0.get(shape, name, init, dtype, device)
    }

    fn get_unchecked(&self, name: &str, _: DType, _: &Device) -> candle_core::Result<Tensor> {
        candle_core::bail!("{name}: of any shape")
    }

    fn contains_tensor(&self, _: &str) -> bool {
        true
    }
}

/// Writes random weights of a network, and gives the network.
fn written(name: &str, config: &Value, file: &Path) -> Result<Func<'static>> {
    let named = names::all().into_iter().find(|named| named.name == name).context("a network of that name")?;
    let without: &[&str] = if name.starts_with("fastvit") { &["conv_scale", "stages.0.downsample"] } else { &[] };
    let vars = VarMap::new();
    let builder = VarBuilder::from_backend(Box::new(Drawn(vars.clone(), without)), DType::F32, Device::Cpu);
    let network = (named.build)(CLASSES, config, builder)?;
    vars.save(file)?;
    Ok(network)
}

fn images(side: usize) -> Result<Tensor> {
    let values = (0..2 * side * side * 3).map(|index| ((index * 37 % 101) as f32 - 50.) / 40.).collect();
    Ok(Tensor::from_vec(values, (2, side, side, 3), &Device::Cpu)?)
}

#[test]
fn a_network_of_each_family_answers_from_a_file_as_candle_itself_does() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let names = [
        names::VIT,
        "convnext_atto",
        "convnextv2_atto",
        "efficientnet_b0",
        "efficientvit_m0",
        "fastvit_t8",
        "mobilenetv4_conv_small",
        "mobileone_s0",
        "repvgg_a0",
        "resnet18",
    ];
    for name in names {
        let here = folder.path().join(name);
        std::fs::create_dir(&here)?;
        let file = here.join("model.safetensors");
        let is_vit = name == names::VIT;
        // the transformer's file says itself what it is; others are named, or say it as timm does
        let config = if is_vit { small_vit() } else { json!({"architecture": format!("{name}.some_training")}) };
        let reference = written(name, &config, &file).with_context(|| name.to_string())?;
        let side = if name.starts_with("efficientvit") { 224 } else { 64 };
        let images = images(side)?;
        let want = reference.forward(&images.permute((0, 3, 1, 2))?.contiguous()?).with_context(|| name.to_string())?;
        let want = want.to_vec2::<f32>()?;
        if !is_vit {
            let opened = Candle::open(&file, Some(name)).with_context(|| name.to_string())?;
            assert!(opened.classes == CLASSES && opened.config.is_null(), "{name}");
        }
        std::fs::write(here.join(CONFIG), config.to_string())?;
        let mut opened = Candle::open(&here, None).with_context(|| name.to_string())?;
        opened.probe(side)?;
        let found = opened.forward(&images, &Pass::eval())?.to_vec2::<f32>()?;
        assert_eq!(found, want, "{name}");
        assert!(opened.forward(&images, &Pass::train(sncn_core::Seed::new(1))).is_err(), "{name}");
    }
    Ok(())
}

#[test]
fn every_name_is_another() {
    let mut names: Vec<&str> = names::all().iter().map(|named| named.name).collect();
    let count = names.len();
    names.sort_unstable();
    names.dedup();
    assert!(names.len() == count && count > 60, "{count}");
}

#[test]
fn weights_of_another_network_are_refused() -> Result<()> {
    let folder = tempfile::tempdir()?;
    let file = folder.path().join("weights.safetensors");
    let refused = |network: Option<&str>| format!("{:#}", Candle::open(&file, network).err().unwrap());
    written("convnextv2_atto", &Value::Null, &file)?;
    assert!(refused(None).contains("name it by --network"));
    assert!(refused(Some("convnext_atom")).contains("convnext_atto") && refused(Some("convnext_atom")).contains("ONNX"));
    assert!(refused(Some("convnext_femto")).contains("has shape"), "{}", refused(Some("convnext_femto")));
    assert!(refused(Some("resnet18")).contains("no fc.weight"));
    // a network with more blocks, of the same widths
    written("convnext_nano", &Value::Null, &file)?;
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load(&file, &Device::Cpu)?;
    let more = tensors["stages.2.blocks.7.conv_dw.weight"].clone();
    tensors.insert("stages.2.blocks.8.conv_dw.weight".to_string(), more);
    candle_core::safetensors::save(&tensors, &file)?;
    assert!(
        refused(Some("convnext_nano")).contains("no place for 1 of its tensors (stages.2.blocks.8"),
        "{}",
        refused(Some("convnext_nano"))
    );
    // a branch that may be missing has another shape
    written("fastvit_t8", &Value::Null, &file)?;
    let mut tensors: HashMap<String, Tensor> = candle_core::safetensors::load(&file, &Device::Cpu)?;
    let name = "stem.0.conv_kxk.0.conv.weight";
    tensors.insert(name.to_string(), Tensor::ones((1, 2), DType::F32, &Device::Cpu)?);
    candle_core::safetensors::save(&tensors, &file)?;
    assert!(refused(Some("fastvit_t8")).contains(name), "{}", refused(Some("fastvit_t8")));
    // a vision transformer says its sizes beside it
    written(names::VIT, &small_vit(), &file)?;
    assert!(refused(Some(names::VIT)).contains("sizes of a vision transformer"));
    let mut other = small_vit();
    other["num_hidden_layers"] = json!(1);
    std::fs::write(folder.path().join(CONFIG), other.to_string())?;
    assert!(refused(None).contains("vit.encoder.layer.1"), "{}", refused(None));
    other["model_type"] = json!("swin");
    std::fs::write(folder.path().join(CONFIG), other.to_string())?;
    assert!(refused(None).contains("config.json: it does not name a network"));
    Ok(())
}
