//! Any settings and lists of tokens are a tokenizer that fits its encoder, or an error. The input is config.json, tokenizer_config.json,
//! special_tokens_map.json and vocab.txt (or vocab.json and merges.txt), with a byte of 0 between them.
#![no_main]

use libfuzzer_sys::fuzz_target;
use sncn_text::Pretrained;
use std::fs;

fuzz_target!(|bytes: &[u8]| {
    let folder = std::env::temp_dir().join(format!("sncn-fuzz-{}", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let parts: Vec<&[u8]> = bytes.splitn(5, |&byte| byte == 0).collect();
    let names = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.txt"];
    let pairs = ["config.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json", "merges.txt"];
    let names: &[&str] = if parts.len() == 5 { &pairs } else { &names };
    let other = if parts.len() == 5 { "vocab.txt" } else { "vocab.json" };
    let _ = fs::remove_file(folder.join(other));
    for (name, part) in names.iter().zip(&parts) {
        fs::write(folder.join(name), part).unwrap();
    }
    for name in &names[parts.len().min(names.len())..] {
        let _ = fs::remove_file(folder.join(name));
    }
    let Ok(encoder) = Pretrained::open(&folder) else { return };
    let Ok((vocabulary, longest)) = encoder.vocabulary() else { return };
    assert!(vocabulary.len() <= encoder.config.vocab_size);
    if longest > 2 {
        let ids = vocabulary.encode(&["Good US café 好电影, <mask>"], longest).unwrap().concat();
        assert!(ids.len() <= longest && ids.iter().all(|&id| (id as usize) < encoder.config.vocab_size));
    }
});
