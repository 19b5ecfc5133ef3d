//! PSD's ledger directory as bytes: two segments, every type of record, encrypted parts, a zero tail.

use super::{Log, Network};
use bytes::Bytes;
use jisr_certs::digest::sha256;
use jisr_ledger::{
    frame::{
        FrameHeader, Record, SegmentHeader, month_of, put_clear, put_encrypted, put_peer_certificates, put_peer_proof,
        put_peer_statement, put_record,
    },
    statement::{Closed, Part},
};
use ring::aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey};

/// Key under which the personal parts of the vectors are encrypted, and the nonce of all of them.
pub(crate) const DATA_KEY: [u8; 32] = [0x77; 32];
pub(crate) const NONCE: [u8; 12] = [0x78; 12];

/// One frame.
pub(crate) fn frame(body: &[u8]) -> Vec<u8> {
    let header = FrameHeader::of(body).expect("neither empty nor long");
    [&header.encode()[..], body].concat()
}

/// Names and contents of the files.
pub(crate) fn psd(network: &Network) -> Vec<(String, Vec<u8>)> {
    let [_, mol, psd] = &network.logs;
    let header = |number, first_index| {
        SegmentHeader {
            number,
            first_index,
            root: psd.root(first_index),
        }
        .encode()
    };
    let mut first = header(0, 0).to_vec();
    first.extend(frame(&statement(&psd.statements[0])));
    first.extend(frame(
        &[checkpoint(psd, 1, &[]), statement(&psd.statements[1])].concat(),
    ));
    first.resize(first.len() + 40, 0);
    let mut second = header(1, 2).to_vec();
    second.extend(frame(&exchange(network)));
    let mol_note = mol.note(4, &[0]);
    let mut last = checkpoint(psd, 4, &[0, 1]);
    put_record(&mut last, Record::PeerNote(&mol_note));
    put_peer_proof(
        &mut last,
        2,
        &mol.statements[2].leaf(),
        &sha256(&[&mol_note]),
        &mol.path(2, 4),
    );
    second.extend(frame(&last));
    second.resize(second.len() + 100, 0);
    vec![
        ("segments/00000000000000000000.seg".to_owned(), first),
        ("segments/00000000000000000001.seg".to_owned(), second),
    ]
}

/// RECEIVED with the ASKED that it cites, and ANSWERED.
fn exchange(network: &Network) -> Vec<u8> {
    let [_, mol, psd] = &network.logs;
    let [seal, _, issuing, root] = &network.certificates;
    let note = mol.note(3, &[]);
    let mut body = Vec::new();
    put_peer_certificates(&mut body, super::ORIGINS[1], &[seal, issuing, root]);
    put_record(&mut body, Record::PeerNote(&note));
    body.extend(statement(&psd.statements[2]));
    let asked = stored(&mol.statements[2]);
    put_peer_statement(&mut body, (2, 3), &sha256(&[&note]), &mol.path(2, 3), |body| {
        body.extend(asked)
    });
    body.extend(statement(&psd.statements[3]));
    body
}

fn checkpoint(log: &Log, size: u64, witnesses: &[usize]) -> Vec<u8> {
    let mut body = Vec::new();
    put_record(&mut body, Record::Checkpoint(&log.note(size, witnesses)));
    body
}

/// A STATEMENT record.
pub(crate) fn statement(closed: &Closed) -> Vec<u8> {
    let mut body = Vec::new();
    put_record(&mut body, Record::Statement(&stored(closed)));
    body
}

pub(crate) fn stored(closed: &Closed) -> Vec<u8> {
    let mut stored = vec![u8::try_from(closed.parts().len()).expect("small")];
    for part in closed.parts() {
        put_part(&mut stored, part, month_of(closed.core().created_us));
    }
    stored
}

fn put_part(stored: &mut Vec<u8>, part: &Part, month: u16) {
    let opened = part.opened.as_ref().expect("own parts are open");
    let Some(class) = part.tag.data_class() else {
        return put_clear(stored, part.tag, &opened.salt, &opened.content);
    };
    let key = LessSafeKey::new(UnboundKey::new(&AES_256_GCM, &DATA_KEY).expect("a key"));
    let aad = [&part.hash[..], &month.to_be_bytes(), &[class, 0]].concat();
    let mut sealed = [&opened.salt[..], &opened.content].concat();
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(NONCE), Aad::from(aad), &mut sealed)
        .expect("sealed");
    put_encrypted(
        stored,
        part.tag,
        &part.hash,
        (month, class),
        &NONCE,
        &Bytes::from(sealed),
    );
}
