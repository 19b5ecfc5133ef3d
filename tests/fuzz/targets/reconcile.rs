//! Reconciliation: what a peer asks of a window, and what it tells of one.
#![no_main]

use jisr_node::form::{self, Range, Sum};
use jisr_proto::peer::{ReconcileRequest, ReconcileResponse};
use prost::Message as _;

/// Until then a window may reach: milliseconds since 1970.
const NEWEST_MS: u64 = 1_800_000_000_000;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ReconcileRequest::decode(bytes) {
        if let Ok(range) = form::window(&request, NEWEST_MS) {
            assert!(range.low <= range.high && Range::of_time(request.from_ms, request.until_ms).holds(&range.high));
            if let Some((lower, upper)) = range.halves() {
                assert!(lower.low == range.low && upper.high == range.high && lower.high < upper.low);
                assert_eq!(range.after(&lower.high), Some(upper));
            }
        }
    }
    let Ok(mut response) = ReconcileResponse::decode(bytes) else {
        return;
    };
    let all = Range::of_time(0, NEWEST_MS);
    for unanswered in [false, true] {
        if let Ok(told) = form::told(&response, &all, unanswered) {
            assert!(told.items.len() <= form::PAGE_MAX && told.items.iter().all(|item| all.holds(&item.exchange)));
        }
    }
    // The count and the root that the items have, which a fuzzer does not guess.
    let Some(items) = response.items.iter().map(form::Item::parse).collect::<Option<Vec<_>>>() else {
        return;
    };
    let sum = Sum::of(&items);
    response.count = sum.count;
    response.root = sum.root.to_vec().into();
    let ordered = items.is_sorted_by(|one, next| one.exchange < next.exchange);
    if let Ok(told) = form::told(&response, &all, false) {
        assert!(
            ordered && told.items == items && items.len() <= form::LISTED_MAX,
            "an answer out of form is taken"
        );
    }
});
