//! What the disk lost, or somebody altered, is found without anybody asking.

use std::fs::OpenOptions;
use std::os::unix::fs::FileExt as _;

use jisr_ledger::frame::segment_name;
use jisr_tests::{Question, World, until};

/// A byte of an early frame's body.
const ALTERED: u64 = 700;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_old_segment_that_was_altered_is_reported_while_the_node_goes_on() {
    let mut world = World::of_two().await;
    world
        .caller()
        .ask("Read", &Question::about("9901234567"))
        .await
        .unwrap();
    world.stop_node("psd").await;
    world.reconfigure(
        "psd",
        "segment_bytes = 1048576",
        "segment_bytes = 1048576\nreread_s = 1",
    );
    world.start_node("psd").await;
    until(async || world.party("psd").status().await.reread_us > 0).await;
    assert_eq!(world.party("psd").status().await.ledger_damages, Vec::<String>::new());

    let segment = world.party("psd").dir.join("ledger/segments").join(segment_name(0));
    let file = OpenOptions::new().read(true).write(true).open(segment).unwrap();
    let flip = || {
        let mut byte = [0];
        file.read_exact_at(&mut byte, ALTERED).unwrap();
        file.write_all_at(&[byte[0] ^ 1], ALTERED).unwrap();
    };
    flip();
    until(async || !world.party("psd").status().await.ledger_damages.is_empty()).await;
    let told = world.party("psd").status().await.ledger_damages;
    assert!(
        told[0].starts_with("segment 0 of the own ledger does not hold at byte "),
        "{told:?}"
    );
    flip();
    until(async || world.party("psd").status().await.ledger_damages.is_empty()).await;
    until(async || world.caller().ask("Read", &Question::about("9901234567")).await.is_ok()).await;
    world.end().await;
}
