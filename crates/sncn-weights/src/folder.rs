//! Folders of weights: which file in them is meant.

use std::path::{Component, Path};

/// The names under which libraries keep weights in a folder, in the order in which they are looked for.
pub(crate) const USUAL: [&str; 4] =
    ["model.safetensors", "model.safetensors.index.json", "pytorch_model.bin", "pytorch_model.bin.index.json"];
/// How names of other files with weights end.
const ENDS: [&str; 7] = [".safetensors", ".safetensors.index.json", ".bin", ".bin.index.json", ".pth", ".pt", ".ckpt"];
/// Files of weights that are not read, what they are, and what to do.
const UNREAD: [(&str, &str); 7] = [
    (
        "adapter_model.",
        "only an adapter is in it, without its base model: merge the two (merge_and_unload of peft) and save the whole model",
    ),
    ("tf_model.h5", "only TensorFlow's weights are in it: convert them (from_pretrained(…, from_tf=True), then save_pretrained)"),
    (
        "flax_model.msgpack",
        "only Flax's weights are in it: convert them (from_pretrained(…, from_flax=True), then save_pretrained)",
    ),
    ("saved_model.pb", "only TensorFlow's weights are in it: convert them to PyTorch's"),
    ("model.onnx", "only an ONNX model is in it: save the PyTorch model that it was made from"),
    (
        "__0_0.distcp",
        "a checkpoint of torch.distributed is in it: join it (python -m torch.distributed.checkpoint.format_utils dcp_to_torch)",
    ),
    ("rust_model.ot", "only rust-bert's weights are in it: take the PyTorch model that they were made from"),
];

/// The file of a folder with these names that holds the weights.
///
/// # Errors
/// Returns a sentence that says what is there instead.
pub(crate) fn choose(names: &[String]) -> Result<&str, String> {
    if let Some(usual) = USUAL.iter().find_map(|usual| names.iter().find(|name| name == usual)) {
        return Ok(usual);
    }
    let unread = |name: &str| UNREAD.iter().find(|(begin, _)| name.starts_with(begin));
    let hidden = |name: &str| name.starts_with('.');
    let mut others: Vec<&str> = names.iter().map(String::as_str).filter(|name| !hidden(name) && unread(name).is_none()).collect();
    others.retain(|name| ENDS.iter().any(|end| name.ends_with(end)));
    // shards are named by their index
    if let Some(index) = others.iter().find(|name| name.ends_with(".index.json")) {
        return Ok(index);
    }
    match others[..] {
        [one] => Ok(one),
        [] => Err(match names.iter().find_map(|name| unread(name)) {
            Some((_, what)) => (*what).to_string(),
            None => format!("no weights in it: none of {} is there", USUAL.join(", ")),
        }),
        [first, second, ..] => {
            Err(format!("{} files may be the weights ({first:.60}, {second:.60}, …): name one of them", others.len()))
        }
    }
}

/// The path of a file beside another.
pub(crate) fn beside(path: &Path, name: &str) -> std::path::PathBuf {
    debug_assert!(Path::new(name).components().all(|part| matches!(part, Component::Normal(_))));
    path.parent().unwrap_or(Path::new("")).join(name)
}
