//! Receipts, kept messages, erasures and holds: what holds, and what does not.

use super::network::{
    Network,
    acts::{self, Officers, Signed},
    segment,
};
use jisr_certs::officer::Document;
use jisr_ledger::{
    frame::{Record, put_record},
    report::{Report, Verdict},
    verify::{LedgerFiles, Options, ledger_on},
};
use jisr_proto::statement::{Approval, Erased, Held, Kind, Released};
use prost::Message;
use std::io::{self, Cursor};

type Named = Vec<(String, Vec<u8>)>;

struct Files(Named);

impl LedgerFiles for Files {
    type File = Cursor<Vec<u8>>;

    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.iter().map(|(name, _)| name.clone()).collect())
    }

    fn bytes(&mut self, name: &str) -> io::Result<u64> {
        self.open(name, 0).map(|file| file.into_inner().len() as u64)
    }

    fn open(&mut self, name: &str, offset: u64) -> io::Result<Self::File> {
        let found = self.0.iter().find(|(known, _)| known == name);
        let found = found.ok_or(io::ErrorKind::NotFound)?;
        Ok(Cursor::new(found.1[usize::try_from(offset).expect("small")..].to_vec()))
    }

    fn may_have_changed(&mut self) -> bool {
        false
    }
}

/// The report, which must be the same by however many threads.
fn judge(network: &Network, files: &Named) -> Report {
    let report = |threads| {
        let mut files = Files(files.clone());
        ledger_on(&mut files, &network.anchor, &Options::default(), threads).expect("files in memory are readable")
    };
    let alone = report(0);
    assert_eq!(alone, report(3), "threads must not matter");
    alone
}

fn is_invalid(network: &Network, files: &Named, id: &str) {
    let report = judge(network, files);
    let found = report.check(id).map(|check| check.verdict);
    let wanted = (Verdict::Invalid, Some(Verdict::Invalid));
    assert_eq!((report.verdict, found), wanted, "{id}\n{report}");
}

fn act_record(network: &Network, kind: Kind, body: &impl Message) -> Vec<u8> {
    segment::statement(&acts::act(network, kind, body).close())
}

fn erased(document: bytes::Bytes, approvals: Vec<Approval>) -> Erased {
    Erased {
        erasure: document,
        approvals,
    }
}

#[test]
fn a_ledger_with_every_act_is_valid_and_says_what_it_found() {
    let mut network = super::network();
    let signed = Signed::make(&network);
    let files = acts::files(&mut network, &signed);
    let report = judge(&network, &files);
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    let text = |id| report.check(id).expect("a line").text.clone();
    assert!(
        text("statements").contains("1 payloads stored, 4 erased"),
        "{}",
        text("statements")
    );
    assert!(text("erasures").starts_with("1 erasures, 1 holds begun and 1 ended"));
    assert!(text("peers").contains("1 receipts"));
}

/// One report, whatever is broken and however many threads read.
#[test]
fn a_broken_ledger_is_reported_alike_by_one_thread_and_by_several() {
    let mut network = super::network();
    let signed = Signed::make(&network);
    let whole = acts::files(&mut network, &signed);
    for file in 0..whole.len() {
        for at in (0..whole[file].1.len()).step_by(37) {
            let mut changed = whole.clone();
            changed[file].1[at] ^= 0x04;
            assert_eq!(judge(&network, &changed).verdict, Verdict::Invalid, "{file} byte {at}");
        }
        for cut in (0..whole[file].1.len()).step_by(61) {
            let mut changed = whole.clone();
            changed[file].1.truncate(cut);
            judge(&network, &changed);
        }
    }
}

#[test]
fn nothing_is_erased_that_no_erased_names() {
    let network = super::network();
    is_invalid(&network, &acts::with(&network, &[(2, &[3])], &[]), "erasures");
    is_invalid(&network, &acts::with(&network, &[(3, &[128])], &[]), "erasures");
    let officers = Officers::make("JO/GOV/psd");
    let document = acts::erasure_of(&[(2, &[3])], "order 12");
    let approvals = officers.approve(Document::Erasure, &document, &[0, 1]);
    let act = act_record(&network, Kind::Erased, &erased(document, approvals));
    let named = acts::with(&network, &[(2, &[3])], std::slice::from_ref(&act));
    assert_eq!(judge(&network, &named).verdict, Verdict::Valid);
    is_invalid(
        &network,
        &acts::with(&network, &[(2, &[3, 7])], std::slice::from_ref(&act)),
        "erasures",
    );
    // ERASED that has not been carried out yet is no fault.
    assert_eq!(
        judge(&network, &acts::with(&network, &[], &[act])).verdict,
        Verdict::Valid
    );
}

#[test]
fn an_erasure_needs_two_officers_of_the_owner() {
    let network = super::network();
    let ours = Officers::make("JO/GOV/psd");
    let document = acts::erasure_of(&[(2, &[3])], "order 12");
    let other = acts::erasure_of(&[(2, &[3])], "order 13");
    let sign = |officers: &Officers, by: &[usize]| officers.approve(Document::Erasure, &document, by);
    let mixed = [sign(&ours, &[0]), sign(&Officers::make("JO/GOV/psd"), &[1])].concat();
    let mut garbled = sign(&ours, &[0, 1]);
    garbled[1].signature = vec![0x30; 70].into();
    let bad = [
        sign(&ours, &[0]),
        sign(&ours, &[1, 1]),
        sign(&Officers::make("JO/GOV/mol"), &[0, 1]),
        mixed,
        garbled,
        ours.approve(Document::Erasure, &other, &[0, 1]),
        ours.approve(Document::Hold, &document, &[0, 1]),
    ];
    for (at, approvals) in bad.into_iter().enumerate() {
        let act = act_record(&network, Kind::Erased, &erased(document.clone(), approvals));
        let files = acts::with(&network, &[], &[act]);
        let report = judge(&network, &files);
        assert_eq!(report.verdict, Verdict::Invalid, "{at}: {report}");
        assert!(
            report
                .check("erasures")
                .is_some_and(|check| check.verdict == Verdict::Invalid),
            "{at}: {report}"
        );
    }
}

#[test]
fn without_an_officer_only_kept_messages_go_when_their_time_is_over() {
    let network = super::network();
    let judged = |tags: &[u8], reason: &str| {
        let act = erased(acts::erasure_of(&[(2, tags)], reason), Vec::new());
        let act = act_record(&network, Kind::Erased, &act);
        judge(&network, &acts::with(&network, &[(2, tags)], &[act])).verdict
    };
    assert_eq!(judged(&[128], "retention"), Verdict::Valid);
    assert_eq!(judged(&[128], "order 12"), Verdict::Invalid);
    assert_eq!(judged(&[3], "retention"), Verdict::Invalid);
    assert_eq!(judged(&[3, 128], "retention"), Verdict::Invalid);
}

#[test]
fn documents_out_of_form_are_refused() {
    let network = super::network();
    let officers = Officers::make("JO/GOV/psd");
    let bad: [&[(u64, &[u8])]; 7] = [
        &[],
        &[(0, &[3])],
        &[(2, &[])],
        &[(2, &[1])],
        &[(2, &[9])],
        &[(2, &[7, 3])],
        &[(3, &[3]), (2, &[3])],
    ];
    for parts in bad {
        let document = acts::erasure_of(parts, "order 12");
        let approvals = officers.approve(Document::Erasure, &document, &[0, 1]);
        let act = act_record(&network, Kind::Erased, &erased(document, approvals));
        is_invalid(&network, &acts::with(&network, &[], &[act]), "statements");
    }
    let document = acts::erasure_of(&[(9, &[3])], "order 12");
    let approvals = officers.approve(Document::Erasure, &document, &[0, 1]);
    let act = act_record(&network, Kind::Erased, &erased(document, approvals));
    is_invalid(&network, &acts::with(&network, &[], &[act]), "erasures");
}

#[test]
fn only_a_hold_that_stands_is_ended() {
    let network = super::network();
    let officers = Officers::make("JO/GOV/psd");
    let (hold, release) = (acts::hold(&network), acts::release(&network));
    let held = Held {
        approvals: officers.approve(Document::Hold, &hold, &[0]),
        hold,
    };
    let released = Released {
        approvals: officers.approve(Document::Release, &release, &[0, 1]),
        release,
    };
    let held = act_record(&network, Kind::Held, &held);
    let released = act_record(&network, Kind::Released, &released);
    let judged = |body: &[&[u8]]| acts::with(&network, &[], &[body.concat()]);
    assert_eq!(judge(&network, &judged(&[&held, &released])).verdict, Verdict::Valid);
    is_invalid(&network, &judged(&[&released]), "erasures");
    is_invalid(&network, &judged(&[&held, &held]), "erasures");
    is_invalid(&network, &judged(&[&held, &released, &released]), "erasures");
}

#[test]
fn a_receipt_is_a_closing_statement_for_one_of_these() {
    let network = super::network();
    let judged = |body: Vec<u8>| acts::with(&network, &[], &[body]);
    let twice = [acts::receipt(&network), acts::receipt(&network)].concat();
    assert_eq!(judge(&network, &judged(twice)).verdict, Verdict::Valid);
    // ASKED closes nothing.
    is_invalid(&network, &judged(acts::receipt_of(&network, 2)), "peers");
    // Its note must come before it.
    let receipt = acts::receipt(&network);
    let mut note = Vec::new();
    put_record(&mut note, Record::PeerNote(&network.logs[1].note(4, &[0])));
    let alone = receipt
        .get(note.len()..)
        .expect("the receipt follows its note")
        .to_vec();
    is_invalid(&network, &judged(alone), "peers");
}

#[test]
fn a_kept_message_follows_what_commits_to_it() {
    let network = super::network();
    let mut stray = Vec::new();
    jisr_ledger::frame::put_payload(&mut stray, 683, &[3; 12], &[4; 50]);
    is_invalid(&network, &acts::with(&network, &[], &[stray]), "statements");
}
