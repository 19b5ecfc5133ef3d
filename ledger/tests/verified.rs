//! What the writer leaves on disk is VALID to the verifier: live, crashed, torn, and after a clean stop.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod world;

use std::fs;

use bytes::Bytes;
use jisr_ledger::frame::{FRAME_HEADER_BYTES, Next, SegmentScan};
use jisr_ledger::ledger::Record;
use jisr_ledger::statement::{Closed, Draft};
use jisr_proto::statement::{Configured, Core, Kind};
use world::valid::Network;
use world::{MOL, NOW_US, append, block_on, fresh, on, sealed_question};

fn configured() -> Closed {
    let core = Core {
        kind: Kind::Configured.into(),
        instance: "JO".into(),
        created_us: NOW_US,
        ..Core::default()
    };
    Draft::new(core)
        .act(&Configured {
            digest: Bytes::from_static(&[1; 32]),
            program: "0.1.0".into(),
        })
        .close()
}

/// Zeroes of the last frame, all but whose header may be gone, what lies in its last sector.
fn tear(bytes: &mut [u8]) {
    let mut scan = SegmentScan::open(&*bytes).unwrap();
    let mut body = 0..0;
    while let Next::Frame { offset, body: found } = scan.read_next().unwrap() {
        let start = usize::try_from(offset).unwrap() + FRAME_HEADER_BYTES;
        body = start..start + found.len();
    }
    let sector = (body.end - 1) / 512 * 512;
    bytes.get_mut(body.start.max(sector)..body.end).unwrap().fill(0);
}

#[test]
fn what_is_written_is_valid_at_every_moment() {
    let network = Network::new();
    let (mol, psd) = (&network.mol, &network.psd);
    let (asking, answering) = (network.open(mol), network.open(psd));
    let certificates = network.chain(mol);
    answering
        .note_later(Record::PeerCertificates {
            origin: MOL.into(),
            certificates,
        })
        .unwrap();
    for round in 0..40 {
        let question = sealed_question(mol, &asking, fresh());
        block_on(answering.append(vec![on(Kind::Received, &question), on(Kind::Answered, &question)])).unwrap();
        if round % 10 == 0 {
            network.is_valid(mol, asking.size());
            network.is_valid(psd, answering.size());
            let note = network.cosigned(&asking, &mol.origin);
            asking.note_later(Record::Cosigned(note.clone())).unwrap();
            let path = asking.prove(question.index, asking.size()).unwrap();
            let leaf = question.statement.leaf();
            answering
                .note_later(Record::PeerProof {
                    index: question.index,
                    leaf,
                    note,
                    path,
                })
                .unwrap();
        }
    }
    assert!(psd.segment(1).exists(), "it rolled");
    let crashed = psd.crash();
    network.is_valid(&crashed, answering.size());
    let size = answering.size();
    asking.close();
    answering.close();
    network.is_valid(mol, 41);
    network.is_valid(psd, size);

    // Opened again by a new process after the crash, and after a torn write.
    let ledger = network.open(&crashed);
    append(&ledger, configured()).unwrap();
    network.is_valid(&crashed, size + 2);
    let torn = crashed.crash();
    let last = fs::read_dir(torn.segments()).unwrap().count() as u64 - 1;
    let mut bytes = fs::read(torn.segment(last)).unwrap();
    tear(&mut bytes);
    fs::write(torn.segment(last), &bytes).unwrap();
    network.is_valid(&torn, size + 1);
    let ledger = network.open(&torn);
    network.is_valid(&torn, size + 3);
    ledger.close();
    network.is_valid(&torn, size + 3);
}
