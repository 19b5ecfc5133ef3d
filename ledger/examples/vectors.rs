//! Writes docs/vectors anew: `cargo run -p jisr-ledger --example vectors`. Inputs that are there already are kept, so the
//! same files come out unless a format changed.

#[path = "../tests/network/mod.rs"]
#[expect(clippy::indexing_slicing, reason = "shared with the tests")]
mod network;
#[path = "../tests/network/administration.rs"]
#[expect(clippy::indexing_slicing, reason = "shared with the tests")]
mod administration;
#[path = "../tests/network/stores.rs"]
#[expect(clippy::indexing_slicing, reason = "shared with the tests")]
mod stores;
#[path = "../tests/network/vectors.rs"]
#[expect(clippy::indexing_slicing, reason = "shared with the tests")]
mod vectors;

use network::{Inputs, Network, acts::Signed};
use std::{fs, path::Path};

fn main() {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/vectors");
    let write = |name: &str, json: &serde_json::Value| {
        let text = serde_json::to_string_pretty(json).expect("JSON") + "\n";
        fs::write(dir.join(name), text).expect("docs/vectors can be written");
    };
    let inputs = match fs::read_to_string(dir.join("inputs.json")) {
        Ok(text) => Inputs::from_json(&serde_json::from_str(&text).expect("JSON")),
        Err(_) => {
            let inputs = Inputs::make();
            write("inputs.json", &inputs.to_json());
            inputs
        }
    };
    let signed = match fs::read_to_string(dir.join("erasure-inputs.json")) {
        Ok(text) => Signed::from_json(&serde_json::from_str(&text).expect("JSON")),
        Err(_) => {
            let signed = Signed::make(&Network::new(&inputs));
            write("erasure-inputs.json", &signed.to_json());
            signed
        }
    };
    if !dir.join("key-store.json").exists() {
        let store = stores::make();
        store.as_object().expect("an object").values().for_each(stores::opens);
        write("key-store.json", &store);
    }
    for (name, json) in vectors::all(&inputs, &signed) {
        write(name, &json);
    }
}
