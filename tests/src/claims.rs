//! What a rogue writes about exchanges into its own ledger, true or not.

use bytes::Bytes;
use jisr_ledger::clock::{Clock as _, SystemClock};
use jisr_ledger::seal::SealVerifier;
use jisr_ledger::statement::Draft;
use jisr_ledger::tree::Hash;
use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::{ExchangeRequest, ExchangeResponse};
use jisr_proto::statement::{Citation, Core, Kind, Sealed};

use crate::messages::Question;
use crate::peer_line::PeerLine;
use crate::rogue::Rogue;
use crate::world::PURPOSE;

impl PeerLine {
    /// Puts a question. Returns the provider's closing statement.
    ///
    /// # Panics
    /// There is none.
    pub async fn answered(&mut self, request: &ExchangeRequest) -> Sealed {
        let response: Result<ExchangeResponse, _> = self.call("Exchange", request).await;
        let response = response.expect("a right question is answered");
        response.closing.expect("a closing statement")
    }
}

/// What both sides' statements of the exchange of this ASKED have in common.
fn of(asked: &Core, kind: Kind) -> Core {
    Core {
        kind: kind.into(),
        created_us: SystemClock.now_us(),
        expires_us: 0,
        payload_bytes: 0,
        tags: Bytes::new(),
        repeats: Bytes::new(),
        ..asked.clone()
    }
}

/// The core of another question, like this one, asked now.
#[must_use]
pub fn another(asked: &Core, random: u8) -> Core {
    let now = SystemClock.now_us();
    let id = ExchangeId::new_v7(now, [random; 10]);
    Core {
        exchange_id: Bytes::copy_from_slice(id.as_bytes()),
        created_us: now,
        expires_us: now + 20_000_000,
        payload_bytes: 0,
        tags: Bytes::new(),
        ..asked.clone()
    }
}

/// A citation of a statement that nobody made.
fn nobodys(origin: &str, leaf: Hash) -> Citation {
    Citation {
        origin: origin.to_owned(),
        index: 1,
        leaf: Bytes::copy_from_slice(&leaf),
        tree_size: 2,
        root: Bytes::from_static(&[7; 32]),
    }
}

impl Rogue {
    /// DELIVERED for an answer that a member's node gave.
    ///
    /// # Panics
    /// The answer does not hold.
    #[must_use]
    pub fn delivers(&self, asked: &Core, answered: &Sealed, code: &str) -> Draft {
        let verified = SealVerifier::new().verify(answered, &self.key_of(code));
        Draft::new(of(asked, Kind::Delivered)).citing(verified.expect("an answer with its seal"))
    }

    /// DELIVERED for an answer that nobody gave.
    #[must_use]
    pub fn delivers_invented(&self, asked: &Core) -> Draft {
        Draft::new(of(asked, Kind::Delivered)).peer(&nobodys(&asked.provider_origin, [9; 32]))
    }

    /// Writes down, as the consumer, an exchange that never was: asked, and answered by the provider.
    pub async fn invents_as_consumer(&self, asked: &Core) {
        let question = Question::about("9901234567").bytes();
        self.sealed(
            Draft::new(asked.clone())
                .purpose(PURPOSE)
                .duty("law-24-2023-art-5")
                .payload(&question),
        )
        .await;
        self.sealed(self.delivers_invented(asked)).await;
    }

    /// Writes down, as the provider, an exchange that never was: received from the ledger `consumer`, and closed so.
    pub async fn invents_as_provider(&self, asked: &Core, consumer: &str, closing: Kind) {
        let cited = nobodys(consumer, [8; 32]);
        self.sealed(Draft::new(of(asked, Kind::Received)).peer(&cited)).await;
        let mut draft = Draft::new(of(asked, closing)).peer(&cited);
        if closing == Kind::Answered {
            draft = draft.payload(b"");
        }
        self.sealed(draft).await;
    }

    /// Leaves the directory as it is now, so that an honest node can be started in it.
    pub fn leaves(self) {
        self.ledger.close();
    }
}
