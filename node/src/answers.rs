//! The closet that keeps replies of methods with effects, so that the same question gets the same answer.
//!
//! Replies are kept in memory until the exchange has expired; after a restart the statement says what was answered and
//! the reply itself is gone (ANSWER_GONE).

use std::collections::{HashMap, VecDeque};
use std::sync::{Mutex, PoisonError};

use jisr_proto::ident::ExchangeId;
use jisr_proto::peer::ExchangeResponse;

/// Largest reply that is kept.
const REPLY_BYTES_MAX: usize = 64 << 10;

/// Kept replies.
#[derive(Debug)]
pub(crate) struct Answers {
    bytes_max: usize,
    kept: Mutex<Kept>,
}

#[derive(Debug, Default)]
struct Kept {
    replies: HashMap<ExchangeId, ExchangeResponse>,
    /// In the order in which they were kept, which is nearly the order in which they expire.
    order: VecDeque<(u64, ExchangeId)>,
    bytes: usize,
}

impl Answers {
    /// Keeps at most `bytes_max` bytes of replies.
    pub(crate) fn new(bytes_max: usize) -> Answers {
        Answers {
            bytes_max,
            kept: Mutex::default(),
        }
    }

    /// Keeps a reply until `until_us`. A reply that is too large, or one too many, is not kept.
    pub(crate) fn keep(&self, exchange: ExchangeId, reply: &ExchangeResponse, until_us: u64, now_us: u64) {
        let size = reply.payload.len();
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget_expired(now_us);
        if size > REPLY_BYTES_MAX || kept.bytes + size > self.bytes_max {
            return;
        }
        if kept.replies.insert(exchange, reply.clone()).is_none() {
            kept.bytes += size;
            kept.order.push_back((until_us, exchange));
        }
    }

    /// The reply of an exchange, if it is still kept.
    pub(crate) fn find(&self, exchange: &ExchangeId, now_us: u64) -> Option<ExchangeResponse> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.forget_expired(now_us);
        kept.replies.get(exchange).cloned()
    }
}

impl Kept {
    fn forget_expired(&mut self, now_us: u64) {
        while let Some((until_us, exchange)) = self.order.front().copied() {
            if until_us >= now_us {
                return;
            }
            self.order.pop_front();
            if let Some(reply) = self.replies.remove(&exchange) {
                self.bytes -= reply.payload.len();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    fn id(n: u8) -> ExchangeId {
        ExchangeId::new_v7(1_000, [n; 10])
    }

    fn reply(size: usize) -> ExchangeResponse {
        ExchangeResponse {
            payload: Bytes::from(vec![0; size]),
            ..Default::default()
        }
    }

    #[test]
    fn kept_until_its_time_and_within_bounds() {
        let answers = Answers::new(100);
        answers.keep(id(1), &reply(60), 10, 0);
        answers.keep(id(2), &reply(60), 10, 0);
        assert!(answers.find(&id(1), 10).is_some());
        assert!(answers.find(&id(2), 10).is_none(), "over the bound");
        assert!(answers.find(&id(1), 11).is_none(), "expired");
        answers.keep(id(3), &reply(60), 20, 11);
        assert!(answers.find(&id(3), 12).is_some(), "room again");
        answers.keep(id(4), &reply(REPLY_BYTES_MAX + 1), 20, 12);
        assert!(answers.find(&id(4), 12).is_none());
    }
}
