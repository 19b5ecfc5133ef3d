//! A consumer whose receipts are meant to spoil the ledger that keeps them.

use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Draft;
use jisr_proto::peer::{Receipt, ReceiptsRequest, ReceiptsResponse};
use jisr_proto::reason::Reason;
use jisr_proto::statement::{Citation, Core, Kind, Sealed};
use jisr_tests::{Rogue, World};

use super::{end, mol_turns};

/// Shows statements of the rogue's own ledger as receipts.
async fn show(rogue: &Rogue, world: &World, sealed: &[Sealed]) -> Result<ReceiptsResponse, Reason> {
    let checkpoint = rogue.ledger.checkpoint();
    let receipts = sealed.iter().map(|sealed| {
        let index = sealed.seal.as_ref().unwrap().index;
        let path = rogue.ledger.prove(index, checkpoint.size).unwrap();
        Receipt {
            index,
            path: path.iter().map(|hash| bytes::Bytes::copy_from_slice(hash)).collect(),
            statement: sealed.statement.clone(),
        }
    });
    let request = ReceiptsRequest {
        checkpoint: checkpoint.note.clone(),
        receipts: receipts.collect(),
    };
    rogue.greet(world, "psd").await.call("Receipts", &request).await
}

/// An exchange that psd answered, and how its answer is cited.
async fn answered(world: &World, rogue: &Rogue) -> (Core, Citation) {
    let core = rogue.core();
    let mut line = rogue.greet(world, "psd").await;
    let answered = line.answered(&Rogue::request(rogue.asked(core.clone()).await)).await;
    let verified = SealVerifier::new().verify(&answered, &rogue.key_of("psd")).unwrap();
    (core, verified.citation())
}

fn delivered(asked: &Core) -> Core {
    Core {
        kind: Kind::Delivered.into(),
        expires_us: 0,
        payload_bytes: 0,
        tags: bytes::Bytes::new(),
        ..asked.clone()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_cites_the_right_answer_in_the_wrong_place_does_not_enter_the_ledger() {
    let (world, rogue) = mol_turns().await;
    let (core, cited) = answered(&world, &rogue).await;
    let before = world.receipts("psd").len();
    let elsewhere = Citation {
        index: cited.index - 1,
        ..cited.clone()
    };
    let lie = rogue.sealed(Draft::new(delivered(&core)).peer(&elsewhere)).await;
    show(&rogue, &world, &[lie]).await.unwrap();
    assert_eq!(world.receipts("psd").len(), before);
    // psd's ledger still verifies: that is what the lie was meant to end.
    let truth = rogue.sealed(Draft::new(delivered(&core)).peer(&cited)).await;
    assert_eq!(show(&rogue, &world, &[truth]).await.unwrap().recorded, 1);
    assert_eq!(world.receipts("psd").len(), before + 1);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_receipt_that_names_another_provider_does_not_enter_the_ledger() {
    let (world, rogue) = mol_turns().await;
    let (core, cited) = answered(&world, &rogue).await;
    let before = world.receipts("psd").len();
    let other = Core {
        provider_origin: "jisr/JO/GOV/psd/node2/2026".to_owned(),
        ..delivered(&core)
    };
    let lie = rogue.sealed(Draft::new(other).peer(&cited)).await;
    assert_eq!(show(&rogue, &world, &[lie]).await, Err(Reason::MalformedStatement));
    assert_eq!(world.receipts("psd").len(), before);
    end(world, rogue, "mol").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_receipt_a_thousand_times_stands_once() {
    let (world, rogue) = mol_turns().await;
    let (core, cited) = answered(&world, &rogue).await;
    let before = world.receipts("psd").len();
    let receipt = rogue.sealed(Draft::new(delivered(&core)).peer(&cited)).await;
    let many = vec![receipt.clone(); 1000];
    for _ in 0..3 {
        assert_eq!(show(&rogue, &world, &many).await.unwrap().recorded, 1000);
    }
    // Another closing statement about the same answer adds nothing either.
    let other = rogue.sealed(Draft::new(delivered(&core)).peer(&cited)).await;
    show(&rogue, &world, &[other]).await.unwrap();
    assert_eq!(world.receipts("psd").len(), before + 1);
    end(world, rogue, "mol").await;
}
