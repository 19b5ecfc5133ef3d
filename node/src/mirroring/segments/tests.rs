//! What is copied, and what is never overwritten.

use std::sync::Arc;

use jisr_ledger::files::RealDisk;
use jisr_ledger::frame::{put_clear, put_erased, put_record};
use jisr_proto::statement::ErasedParts;

use super::super::directory::Directory;
use super::*;

/// A ledger directory made by hand: the mirror looks at frames, not at signatures.
struct Live {
    dir: tempfile::TempDir,
    /// Bytes of each segment.
    segments: Vec<Vec<u8>>,
    /// Statements.
    size: u64,
}

impl Live {
    fn new() -> Live {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("live/segments")).unwrap();
        let mut live = Live {
            dir,
            segments: Vec::new(),
            size: 0,
        };
        live.begin_segment();
        live
    }

    fn begin_segment(&mut self) {
        let header = SegmentHeader {
            number: self.segments.len() as u64,
            first_index: self.size,
            root: [u8::try_from(self.size).unwrap(); 32],
        };
        self.segments.push(header.encode().to_vec());
        self.write();
    }

    /// Adds a frame with one record.
    fn frame(&mut self, record: Record<'_>) -> &mut Live {
        let mut body = Vec::new();
        put_record(&mut body, record);
        self.size += u64::from(matches!(record, Record::Statement(_)));
        let segment = self.segments.last_mut().unwrap();
        segment.extend_from_slice(&FrameHeader::of(&body).unwrap().encode());
        segment.extend_from_slice(&body);
        self.write();
        self
    }

    fn note(&mut self, text: &str) -> &mut Live {
        self.frame(Record::Checkpoint(text.as_bytes()))
    }

    /// Segments as they lie: with room that is not used yet.
    fn write(&self) {
        for (number, bytes) in self.segments.iter().enumerate() {
            let mut file = bytes.clone();
            file.resize(bytes.len() + 5000, 0);
            let name = segment_name(number as u64);
            std::fs::write(self.ledger().join("segments").join(name), file).unwrap();
        }
    }

    fn ledger(&self) -> PathBuf {
        self.dir.path().join("live")
    }

    fn mirror(&self) -> Directory {
        Directory::new(self.dir.path().join("mirror"), Arc::new(RealDisk))
    }

    fn end(&self) -> Place {
        Place {
            segment: self.segments.len() as u64 - 1,
            offset: self.segments.last().unwrap().len() as u64,
        }
    }

    /// What a process that begins now does with the mirror.
    fn follow(&self) -> Result<Segments, MirrorError> {
        let mut segments = Segments::new(self.ledger(), "ledger");
        self.go_on(&mut segments)?;
        Ok(segments)
    }

    fn go_on(&self, segments: &mut Segments) -> Result<(), MirrorError> {
        while segments.step(&mut self.mirror(), self.end())? != Step::CaughtUp {}
        Ok(())
    }

    fn mirrored(&self, number: u64) -> PathBuf {
        let segments = self.dir.path().join("mirror/ledger/segments");
        segments.join(segment_name(number))
    }

    /// The mirror holds exactly the frames of the ledger.
    fn claim_same(&self) {
        for (number, bytes) in self.segments.iter().enumerate() {
            assert_eq!(
                &std::fs::read(self.mirrored(number as u64)).unwrap(),
                bytes,
                "segment {number}"
            );
        }
    }
}

fn statement(part: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut stored = vec![1];
    part(&mut stored);
    stored
}

fn duty(text: &str) -> Vec<u8> {
    statement(|stored| put_clear(stored, Tag::Duty, &[7; 32], text.as_bytes()))
}

#[test]
fn what_is_durable_is_copied_and_no_more() {
    let mut live = Live::new();
    live.note("one").frame(Record::Statement(&duty("x")));
    let durable = live.end();
    live.note("not durable yet");
    let mut segments = Segments::new(live.ledger(), "ledger");
    while segments.step(&mut live.mirror(), durable).unwrap() != Step::CaughtUp {}
    assert_eq!(std::fs::metadata(live.mirrored(0)).unwrap().len(), durable.offset);
    assert_eq!(segments.size(), Some(1));
    live.begin_segment();
    live.frame(Record::Statement(&duty("y")));
    live.go_on(&mut segments).unwrap();
    live.claim_same();
    assert_eq!(segments.size(), Some(2));
}

#[test]
fn a_restart_goes_on_where_it_was() {
    let mut live = Live::new();
    live.note("one");
    live.follow().unwrap();
    live.note("two").begin_segment();
    live.frame(Record::Statement(&duty("x")));
    let segments = live.follow().unwrap();
    live.claim_same();
    assert_eq!(segments.size(), Some(1));
}

#[test]
fn what_was_torn_in_the_mirror_is_written_again() {
    let mut live = Live::new();
    live.note("one").note("a second frame, which is cut off");
    live.follow().unwrap();
    let whole = std::fs::read(live.mirrored(0)).unwrap();
    for cut in 0..whole.len() {
        std::fs::write(live.mirrored(0), &whole[..cut]).unwrap();
        live.follow().unwrap_or_else(|error| panic!("cut at {cut}: {error}"));
        live.claim_same();
    }
}

#[test]
fn a_mirror_that_is_ahead_is_left_alone() {
    let mut live = Live::new();
    live.note("one").note("two");
    live.follow().unwrap();
    let (ahead, before) = (std::fs::read(live.mirrored(0)).unwrap(), live.segments[0].len());
    // The disk is set back: the last frame never was.
    let last = FrameHeader::of(&[0; 8]).unwrap().encode().len() + 8;
    live.segments[0].truncate(before - last);
    live.write();
    assert!(matches!(live.follow(), Err(MirrorError::Ahead(_))));
    // And another one was written in its place.
    live.note("toe").note("more");
    assert!(matches!(live.follow(), Err(MirrorError::Differs(_))));
    live.begin_segment();
    live.note("and more");
    assert!(matches!(live.follow(), Err(MirrorError::Differs(_))));
    assert_eq!(std::fs::read(live.mirrored(0)).unwrap(), ahead);
    assert!(!live.mirrored(1).exists());
}

#[test]
fn another_ledger_is_never_mirrored_over() {
    let mut live = Live::new();
    live.note("one").begin_segment();
    live.note("two");
    live.follow().unwrap();
    live.segments[1][20] ^= 1;
    let header: [u8; SEGMENT_HEADER_BYTES] = SegmentHeader {
        number: 1,
        first_index: 0,
        root: [9; 32],
    }
    .encode();
    live.segments[1][..SEGMENT_HEADER_BYTES].copy_from_slice(&header);
    live.write();
    assert!(matches!(live.follow(), Err(MirrorError::Differs(_))));
}

#[test]
fn what_does_not_parse_is_not_copied() {
    let mut live = Live::new();
    live.note("one").note("two");
    let last = live.segments[0].len() - 1;
    live.segments[0][last] ^= 1;
    live.write();
    assert!(matches!(live.follow(), Err(MirrorError::Ledger(_))));
}

#[test]
fn what_is_erased_is_erased_in_the_mirror_too() {
    let mut live = Live::new();
    let open = duty("a duty that is erased");
    let mut erased = Vec::new();
    put_erased(
        &mut erased,
        Tag::Duty,
        &jisr_ledger::statement::part_hash(Tag::Duty, &[7; 32], b"a duty that is erased"),
    );
    live.note("one").frame(Record::Statement(&open));
    let place = live.segments[0].len() - open.len();
    live.begin_segment();
    live.note("two");
    let mut segments = live.follow().unwrap();

    // Erased in its place, then said.
    let zeros = open.len() - 1 - erased.len();
    let mut gone = vec![1];
    gone.extend_from_slice(&erased);
    let length = u32::try_from(32 + zeros).unwrap().to_be_bytes();
    gone[3..7].copy_from_slice(&length);
    gone.resize(open.len(), 0);
    live.segments[0][place..].copy_from_slice(&gone);
    let frame = live.segments[0].len() - open.len() - 5 - 16;
    let header = FrameHeader::of(&live.segments[0][frame + 16..]).unwrap().encode();
    live.segments[0][frame..frame + 16].copy_from_slice(&header);
    let erasure = Erasure {
        parts: vec![ErasedParts {
            index: 0,
            tags: vec![Tag::Duty.number()].into(),
        }],
        ..Erasure::default()
    };
    let act = Erased {
        erasure: erasure.encode_to_vec().into(),
        approvals: Vec::new(),
    };
    let core = Core {
        format: 1,
        kind: Kind::Erased.into(),
        ..Core::default()
    };
    let mut said = vec![2];
    put_clear(&mut said, Tag::Core, &[1; 32], &core.encode_to_vec());
    put_clear(&mut said, Tag::Act, &[2; 32], &act.encode_to_vec());
    live.frame(Record::Statement(&said));

    // While the ledger is still at it, nothing is taken over.
    std::fs::create_dir_all(live.ledger().join("index")).unwrap();
    std::fs::write(live.ledger().join("index/erasing"), "x").unwrap();
    live.go_on(&mut segments).unwrap();
    assert_ne!(std::fs::read(live.mirrored(0)).unwrap(), live.segments[0]);
    std::fs::remove_file(live.ledger().join("index/erasing")).unwrap();
    // Whoever begins then has not forgotten it.
    live.follow().unwrap();
    live.claim_same();
    assert!(
        !std::fs::read(live.mirrored(0))
            .unwrap()
            .windows(6)
            .any(|window| window == b"a duty")
    );
}

#[test]
fn a_frame_that_changed_otherwise_is_no_erasure() {
    let body = |text: &str| {
        let mut body = Vec::new();
        put_record(&mut body, Record::Statement(&duty(text)));
        body
    };
    assert!(is_erasure_of(&body("one"), &body("one")));
    assert!(!is_erasure_of(&body("two"), &body("one")));
    assert!(!is_erasure_of(&body("longer"), &body("one")));
}
