//! A member that rewrites its own past: what an auditor finds in the directory of a real node.

use std::io::Cursor;
use std::path::Path;

use jisr_ledger::frame::{FrameHeader, Next, SegmentScan};
use jisr_ledger::report::Verdict;
use jisr_ledger::verify::{Options, directory};
use jisr_node::Layout;
use jisr_tests::Rogue;

use super::mol_turns;

/// The frames of a segment, and what stands before them.
fn frames(segment: &[u8]) -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut scan = SegmentScan::open(Cursor::new(segment)).unwrap();
    let begin = usize::try_from(scan.offset()).unwrap();
    let mut frames = Vec::new();
    while let Next::Frame { body, .. } = scan.read_next().unwrap() {
        frames.push(framed(&body));
    }
    (
        segment.get(..begin).expect("a segment holds its header").to_vec(),
        frames,
    )
}

/// A body with a header whose checksums hold.
fn framed(body: &[u8]) -> Vec<u8> {
    [FrameHeader::of(body).unwrap().encode().as_slice(), body].concat()
}

/// Verdict on a ledger of one segment of these frames.
fn judged(dir: &Path, rogue: &Rogue, header: &[u8], frames: &[Vec<u8>], bytes: usize, kept: &[u8]) -> Verdict {
    let mut segment = [header, &frames.concat()].concat();
    segment.resize(bytes, 0);
    std::fs::create_dir_all(dir.join("segments")).unwrap();
    std::fs::write(dir.join("segments/00000000000000000000.seg"), segment).unwrap();
    let options = Options {
        checkpoint: Some(kept.to_vec()),
    };
    directory(dir, &rogue.anchor, &options).unwrap().verdict
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewritten_past_is_found_with_a_kept_checkpoint() {
    let (world, rogue) = mol_turns().await;
    // What a peer, a witness or an auditor kept.
    rogue
        .greet(&world, "psd")
        .await
        .exchange(&Rogue::request(rogue.asked(rogue.core()).await))
        .await
        .unwrap();
    let kept = rogue.ledger.checkpoint().note.clone();
    rogue.ledger.clone().close();
    let ledger = Layout::new(&world.party("mol").dir).ledger();
    let segment = std::fs::read(ledger.join("segments/00000000000000000000.seg")).unwrap();
    let (header, whole) = frames(&segment);
    let statements = world.statements("mol").len();
    assert!(
        whole.len() > 6 && statements > 4,
        "{} frames, {statements} statements",
        whole.len()
    );
    let dir = tempfile::tempdir().unwrap();
    let verdict = |frames: &[Vec<u8>]| judged(dir.path(), &rogue, &header, frames, segment.len(), &kept);
    assert_eq!(verdict(&whole), Verdict::Valid);

    for last in 1..whole.len() {
        let verdict = verdict(&whole[..last]);
        // The checkpoint that was kept covers all statements; the frame behind them holds none.
        assert!(
            verdict == Verdict::Invalid || last == whole.len() - 1,
            "without the last {}",
            whole.len() - last
        );
    }
    for at in 0..whole.len() - 1 {
        let mut shorter = whole.clone();
        shorter.remove(at);
        let mut swapped = whole.clone();
        swapped.swap(at, at + 1);
        for (what, changed) in [("removed", shorter), ("swapped with the next", swapped)] {
            // Frames that hold no statement may say the same in another order.
            let counts = holds_statement(&whole[at]);
            assert!(!counts || verdict(&changed) != Verdict::Valid, "frame {at} {what}");
        }
    }
    let mut edited = whole.clone();
    let place = edited
        .iter_mut()
        .rev()
        .find(|frame| find(frame, b"work-permit-renewal").is_some())
        .unwrap();
    let at = find(place, b"work-permit-renewal").unwrap();
    place[at] = b'W';
    let body = place[16..].to_vec();
    *place = framed(&body);
    assert_eq!(verdict(&edited), Verdict::Invalid, "an edited purpose");
    super::end(world, rogue, "mol").await;
}

fn find(frame: &[u8], text: &[u8]) -> Option<usize> {
    frame.windows(text.len()).position(|window| window == text)
}

/// Whether a statement of the instance stands in the frame.
fn holds_statement(frame: &[u8]) -> bool {
    find(frame, &[0x1a, 2, b'J', b'O']).is_some()
}
