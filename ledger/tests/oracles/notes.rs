//! Signed notes against an independent implementation of C2SP signed-note.

use jisr_ledger::note::{self, Checkpoint, VerifierKey, assemble, signature_line};
use proptest::prelude::*;
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use signed_note::{Note, StandardVerifier, VerifierList};

const ORIGIN: &str = "jisr/JO/GOV/mol/node1/2026";

fn pair(seed: u8) -> Ed25519KeyPair {
    Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).expect("32 bytes are a seed")
}

fn key(seed: u8) -> VerifierKey {
    let public = pair(seed).public_key().as_ref().try_into().expect("32 bytes");
    VerifierKey::new_seal(ORIGIN, public).expect("a good key")
}

/// A checkpoint signed by the first key and, beside it, by a key of another name that nobody knows.
fn signed() -> Vec<u8> {
    let checkpoint = Checkpoint {
        origin: ORIGIN.into(),
        size: 300,
        root: [9; 32],
    };
    let text = checkpoint.text();
    let line = signature_line(&key(1), pair(1).sign(text.as_bytes()).as_ref());
    let stranger = VerifierKey::new_seal("stranger", key(2).raw()).expect("a good key");
    let other = signature_line(&stranger, pair(2).sign(text.as_bytes()).as_ref());
    assemble(&text, [line.as_str(), other.as_str()])
}

/// What the other implementation says of a note: that the key signed it, and that its text is a checkpoint of this origin.
fn theirs(note: &[u8]) -> bool {
    let verifier = StandardVerifier::new(&key(1).to_string()).expect("our key as text is a verifier key");
    let known = VerifierList::new(vec![Box::new(verifier)]);
    Note::from_bytes(note).is_ok_and(|note| {
        let checkpoint = tlog_tiles::Checkpoint::from_bytes(note.text());
        note.verify(&known).is_ok() && checkpoint.is_ok_and(|checkpoint| checkpoint.origin() == ORIGIN)
    })
}

#[test]
fn a_note_that_we_sign_the_other_implementation_opens() {
    assert!(theirs(&signed()));
    assert!(note::open(&signed(), &key(1)).is_ok());
}

proptest! {
    /// We are the stricter side: what we take, others take too.
    #[test]
    fn no_altered_note_is_good_here_and_bad_there(
        at in 0..signed().len(),
        byte in any::<u8>(),
        what in 0..3,
    ) {
        let mut altered = signed();
        match what {
            0 => altered[at] = byte,
            1 => altered.insert(at, byte),
            _ => { altered.remove(at); }
        }
        if note::open(&altered, &key(1)).is_ok() {
            prop_assert!(theirs(&altered), "{}", String::from_utf8_lossy(&altered));
        }
    }
}
