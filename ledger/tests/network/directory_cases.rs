//! Ledger directories that hold, and what can be done to one.

use super::network::{Network, segment};
use jisr_ledger::{
    frame::{Record, SEGMENT_BYTES_MAX, SegmentHeader, put_record},
    report::{Report, Verdict},
    statement::Draft,
    verify::{LedgerFiles, Options, directory, ledger},
};
use jisr_proto::statement::Kind;
use std::io::{self, Cursor};

/// Files in memory.
#[derive(Clone)]
struct Files(Vec<(String, Vec<u8>)>);

impl LedgerFiles for Files {
    type File = Cursor<Vec<u8>>;

    fn names(&mut self) -> io::Result<Vec<String>> {
        Ok(self.0.iter().map(|(name, _)| name.clone()).collect())
    }

    fn bytes(&mut self, name: &str) -> io::Result<u64> {
        self.open(name, 0).map(|file| file.into_inner().len() as u64)
    }

    fn open(&mut self, name: &str, offset: u64) -> io::Result<Self::File> {
        let found = self
            .0
            .iter()
            .find(|(known, _)| known == name)
            .ok_or(io::ErrorKind::NotFound)?;
        Ok(Cursor::new(found.1[usize::try_from(offset).expect("small")..].to_vec()))
    }

    fn may_have_changed(&mut self) -> bool {
        false
    }
}

fn judge(network: &Network, files: &[(String, Vec<u8>)]) -> Report {
    with_checkpoint(network, files, None)
}

fn with_checkpoint(network: &Network, files: &[(String, Vec<u8>)], checkpoint: Option<Vec<u8>>) -> Report {
    ledger(&mut Files(files.to_vec()), &network.anchor, &Options { checkpoint }).expect("files in memory are readable")
}

fn is_invalid(network: &Network, files: &[(String, Vec<u8>)], id: &str) {
    let report = judge(network, files);
    let found = report.check(id).map(|check| check.verdict);
    assert_eq!(
        (report.verdict, found),
        (Verdict::Invalid, Some(Verdict::Invalid)),
        "{id}\n{report}"
    );
}

#[test]
fn a_whole_ledger_is_valid() {
    let network = super::network();
    let report = judge(&network, &segment::psd(&network));
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    let head = report.head.expect("a head");
    assert_eq!((head.origin.as_str(), head.size), (super::network::ORIGINS[2], 4));
}

#[test]
fn every_changed_byte_is_invalid() {
    let network = super::network();
    let whole = segment::psd(&network);
    for file in 0..whole.len() {
        for at in 0..whole[file].1.len() {
            let mut changed = whole.clone();
            changed[file].1[at] ^= 0x10;
            let report = judge(&network, &changed);
            assert_eq!(
                report.verdict,
                Verdict::Invalid,
                "{} byte {at}\n{report}",
                whole[file].0
            );
        }
    }
}

/// Whoever alters a segment can mend the checksums: then signatures and roots must tell.
#[test]
fn a_changed_statement_with_mended_checksums_is_invalid() {
    let network = super::network();
    for index in 0..4usize {
        let mut altered = network.clone();
        let mut core = altered.logs[2].statements[index].core().clone();
        core.created_us += 1;
        altered.logs[2].statements[index] = Draft::new(core).close();
        let files = segment::psd(&altered);
        assert_eq!(judge(&network, &files).verdict, Verdict::Invalid, "entry {index}");
    }
}

#[test]
fn missing_and_foreign_files_are_invalid() {
    let network = super::network();
    let whole = segment::psd(&network);
    is_invalid(&network, &[], "directory");
    is_invalid(&network, &whole[1..], "directory");
    for name in [
        "lock",
        "segments/.hidden",
        "segments/1.seg",
        "segments/00000000000000000003.seg",
        "other/",
    ] {
        let mut files = whole.clone();
        files.push((name.to_owned(), Vec::new()));
        is_invalid(&network, &files, "directory");
    }
    let mut files = whole.clone();
    files[0].1.clear();
    is_invalid(&network, &files, "frames");
    let mut files = whole;
    let (one, other) = files.split_at_mut(1);
    std::mem::swap(&mut one[0].1, &mut other[0].1);
    is_invalid(&network, &files, "frames");
}

/// Files whose last one has this length, and which nobody may read if that is too long.
struct Long(Files, u64);

impl LedgerFiles for Long {
    type File = Cursor<Vec<u8>>;

    fn names(&mut self) -> io::Result<Vec<String>> {
        self.0.names()
    }

    fn bytes(&mut self, name: &str) -> io::Result<u64> {
        let is_last = self.0.0.last().is_some_and(|(last, _)| last == name);
        if is_last { Ok(self.1) } else { self.0.bytes(name) }
    }

    fn open(&mut self, name: &str, offset: u64) -> io::Result<Self::File> {
        assert!(self.1 <= SEGMENT_BYTES_MAX, "{name} is read");
        self.0.open(name, offset)
    }

    fn may_have_changed(&mut self) -> bool {
        false
    }
}

#[test]
fn a_segment_beyond_the_bound_is_invalid_unread() {
    let network = super::network();
    let look = |bytes| {
        let mut files = Long(Files(segment::psd(&network)), bytes);
        ledger(&mut files, &network.anchor, &Options::default()).expect("lengths are readable")
    };
    assert_eq!(look(1 << 30).verdict, Verdict::Valid);
    for bytes in [(1 << 30) + 1, 20 << 30, u64::MAX] {
        let report = look(bytes);
        let found = report.check("directory").expect("a line");
        assert_eq!(found.verdict, Verdict::Invalid, "{report}");
        assert!(found.text.contains(&bytes.to_string()), "{report}");
    }
}

#[test]
fn a_torn_last_frame_counts_for_nothing_and_any_other_is_corruption() {
    let network = super::network();
    let mut files = segment::psd(&network);
    let short = files[0].1.len() - 60;
    let last = files[1].1.len() - 110;
    files[1].1.truncate(last);
    let report = judge(&network, &files);
    assert_eq!(report.verdict, Verdict::Valid, "{report}");
    assert!(
        report
            .check("tail")
            .is_some_and(|check| check.text.contains("unfinished write")),
        "{report}"
    );
    files[0].1.truncate(short);
    is_invalid(&network, &files, "frames");
}

#[test]
fn a_removed_tail_is_found_by_a_kept_checkpoint() {
    let network = super::network();
    let whole = segment::psd(&network);
    let kept = network.logs[2].note(4, &[0]).to_vec();
    assert_eq!(
        with_checkpoint(&network, &whole, Some(kept.clone())).verdict,
        Verdict::Valid
    );
    let older = network.logs[2].note(3, &[]).to_vec();
    assert_eq!(with_checkpoint(&network, &whole, Some(older)).verdict, Verdict::Valid);
    let report = with_checkpoint(&network, &whole[..1], Some(kept));
    assert_eq!(
        report.check("checkpoint-given").map(|check| check.verdict),
        Some(Verdict::Invalid),
        "{report}"
    );
    assert_eq!(judge(&network, &whole[..1]).verdict, Verdict::Valid);
    let foreign = network.logs[1].note(4, &[]).to_vec();
    assert_eq!(
        with_checkpoint(&network, &whole, Some(foreign)).verdict,
        Verdict::Invalid
    );
    assert_eq!(
        with_checkpoint(&network, &whole, Some(b"nonsense".to_vec())).verdict,
        Verdict::Invalid
    );
}

#[test]
fn a_fork_is_found_by_a_kept_checkpoint() {
    let network = super::network();
    let mut fork = network.clone();
    let core = fork.core(Kind::Received, 9);
    fork.logs[2].append(Draft::new(core).peer(&fork.citation()).close());
    fork.logs[2].append(network.logs[2].statements[3].clone());
    let kept = fork.logs[2].note(6, &[]).to_vec();
    let report = with_checkpoint(&network, &segment::psd(&network), Some(kept));
    assert_eq!(report.verdict, Verdict::Invalid, "{report}");
}

impl Network {
    fn citation(&self) -> jisr_proto::statement::Citation {
        let parsed = self.logs[2].statements[2].parsed().expect("well formed");
        parsed.citation().expect("RECEIVED cites").clone()
    }
}

/// One more frame after the whole ledger.
fn with_frame(network: &Network, body: &[u8]) -> Vec<(String, Vec<u8>)> {
    let mut files = segment::psd(network);
    let end = files[1].1.len() - 100;
    files[1].1.truncate(end);
    files[1].1.extend(segment::frame(body));
    files
}

#[test]
fn a_checkpoint_must_be_of_this_ledger_and_its_past() {
    let network = super::network();
    let record = |note: &[u8]| {
        let mut body = Vec::new();
        put_record(&mut body, Record::Checkpoint(note));
        body
    };
    let again = with_frame(&network, &record(&network.logs[2].note(4, &[])));
    assert_eq!(judge(&network, &again).verdict, Verdict::Valid);
    is_invalid(
        &network,
        &with_frame(&network, &record(&network.logs[1].note(4, &[]))),
        "checkpoints",
    );
    is_invalid(
        &network,
        &with_frame(&network, &record(&network.logs[2].note(3, &[]))),
        "checkpoints",
    );
    let mut ahead = network.clone();
    ahead.logs[2].append(network.logs[2].statements[3].clone());
    is_invalid(
        &network,
        &with_frame(&network, &record(&ahead.logs[2].note(5, &[]))),
        "checkpoints",
    );
    let mut fork = network.clone();
    fork.logs[2] = network.logs[1].clone();
    is_invalid(&network, &with_frame(&network, b"\x09\0\0\0\0"), "frames");
}

#[test]
fn statements_of_others_and_after_the_end_are_invalid() {
    let network = super::network();
    let body = |core, draft: fn(Draft) -> Draft| segment::statement(&draft(Draft::new(core)).close());
    let asked = body(network.core(Kind::Asked, 20), |draft| draft.purpose("p").payload(b""));
    is_invalid(&network, &with_frame(&network, &asked), "statements");
    let mut ended = network.core(Kind::Ended, 20);
    ended.exchange_id.clear();
    let ended = body(ended, |draft| draft);
    assert_eq!(judge(&network, &with_frame(&network, &ended)).verdict, Verdict::Valid);
    is_invalid(
        &network,
        &with_frame(&network, &[&ended[..], &ended].concat()),
        "statements",
    );
    let started = segment::statement(&network.logs[2].statements[0]);
    is_invalid(&network, &with_frame(&network, &started), "started");
}

/// Statements are made before they wait for their commit; only what no wait explains is a clock that was set back.
#[test]
fn a_step_back_of_more_than_a_second_is_counted_and_not_refused() {
    let network = super::network();
    let newest = network.logs[2].statements.iter().map(|closed| closed.core().created_us);
    let newest = newest.max().expect("four statements");
    for (back_us, count) in [(0, 0), (1_000_000, 0), (1_000_001, 1), (3_600_000_000, 1)] {
        let mut ended = network.core(Kind::Ended, 20);
        ended.exchange_id.clear();
        ended.created_us = newest - back_us;
        let report = judge(
            &network,
            &with_frame(&network, &segment::statement(&Draft::new(ended).close())),
        );
        assert_eq!(report.verdict, Verdict::Valid, "{report}");
        let line = &report.check("statements").expect("a line").text;
        let wanted = format!("time went back by more than 1 s {count} times");
        assert!(line.ends_with(&wanted), "{line}");
    }
}

#[test]
fn a_ledger_begins_with_started_of_a_certified_key() {
    let network = super::network();
    let first = |body: &[u8]| {
        let header = SegmentHeader {
            number: 0,
            first_index: 0,
            root: jisr_ledger::tree::empty_root(),
        }
        .encode();
        vec![(
            "segments/00000000000000000000.seg".to_owned(),
            [&header[..], &segment::frame(body)].concat(),
        )]
    };
    is_invalid(
        &network,
        &first(&segment::statement(&network.logs[2].statements[1])),
        "started",
    );
    let mut note = Vec::new();
    put_record(&mut note, Record::PeerNote(&network.logs[1].note(3, &[])));
    is_invalid(&network, &first(&note), "started");
    let mut stranger = network.clone();
    stranger.anchor.root = [1; 32];
    is_invalid(&stranger, &segment::psd(&network), "started");
    // The registry's ledger rests on the key in the anchor.
    let registry = first(&segment::statement(&network.logs[0].statements[0]));
    assert_eq!(judge(&network, &registry).verdict, Verdict::Valid);
    stranger.anchor.registry_key = super::network::seal_key(1);
    is_invalid(&stranger, &registry, "started");
}

#[test]
fn a_real_directory_is_read_without_its_index() {
    let network = super::network();
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::create_dir_all(dir.path().join("segments")).expect("made");
    std::fs::create_dir_all(dir.path().join("index/deep")).expect("made");
    std::fs::write(dir.path().join("index/anything"), b"derived").expect("written");
    let look = || {
        directory(dir.path(), &network.anchor, &Options::default())
            .expect("readable")
            .verdict
    };
    assert_eq!(look(), Verdict::Invalid);
    for (name, content) in segment::psd(&network) {
        std::fs::write(dir.path().join(name), content).expect("written");
    }
    assert_eq!(look(), Verdict::Valid);
    // A hole of 20 GiB takes no room; reading through it would take minutes.
    let last = dir.path().join("segments/00000000000000000001.seg");
    let file = std::fs::OpenOptions::new().write(true).open(last).expect("opened");
    let bytes = file.metadata().expect("a length").len();
    file.set_len(20 << 30).expect("a hole");
    assert_eq!(look(), Verdict::Invalid);
    file.set_len(bytes).expect("cut again");
    assert_eq!(look(), Verdict::Valid);
    std::fs::write(dir.path().join("segments/note.txt"), b"").expect("written");
    assert_eq!(look(), Verdict::Invalid);
    assert!(directory(&dir.path().join("nowhere"), &network.anchor, &Options::default()).is_err());
}
