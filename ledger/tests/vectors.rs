//! The vectors in docs/vectors are what the code makes; and a network of fixed keys, attacked in every way its files allow.

#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod network;
#[path = "network/administration.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod administration;
#[path = "network/stores.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod stores;
#[path = "network/vectors.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod vectors;

#[path = "network/acts_cases.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod acts_cases;
#[path = "network/attack_cases.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod attack_cases;
#[path = "network/directory_cases.rs"]
#[expect(clippy::indexing_slicing, reason = "a test may panic")]
mod directory_cases;
#[path = "network/evidence_cases.rs"]
mod evidence_cases;
#[path = "network/set_cases.rs"]
mod set_cases;

use network::{Inputs, Network, acts::Signed};
use std::{fs, path::PathBuf};

fn read(name: &str) -> serde_json::Value {
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../docs/vectors")
        .join(name);
    let text = fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    serde_json::from_str(&text).expect("JSON")
}

fn inputs() -> Inputs {
    Inputs::from_json(&read("inputs.json"))
}

fn network() -> Network {
    Network::new(&inputs())
}

#[test]
fn the_vectors_are_what_the_code_makes() {
    let signed = Signed::from_json(&read("erasure-inputs.json"));
    for (name, made) in vectors::all(&inputs(), &signed) {
        assert!(
            read(name) == made,
            "{name}: run `cargo run -p jisr-ledger --example vectors` and look at the difference"
        );
    }
}

#[test]
fn key_stores_open() {
    for store in read("key-store.json").as_object().expect("an object").values() {
        stores::opens(store);
    }
    let made = stores::make();
    made.as_object().expect("an object").values().for_each(stores::opens);
}

#[test]
fn the_inputs_can_be_made_anew() {
    let inputs = Inputs::from_json(&Inputs::make().to_json());
    let network = Network::new(&inputs);
    let signed = Signed::from_json(&Signed::make(&network).to_json());
    assert_eq!(network::acts::files(&mut network.clone(), &signed).len(), 2);
    evidence_cases::valid(&network);
}
