//! What nodes say to the registry: reports of other ledgers, requests to enrol.
#![no_main]

use jisr_proto::registry::{EnrolRequest, ReportRequest};
use jisr_registry::form;
use prost::Message as _;

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| {
    if let Ok(request) = ReportRequest::decode(bytes) {
        let told = request.finding.as_ref().map(|finding| finding.origin.clone());
        if let Ok(origin) = form::finding(request) {
            assert_eq!(Some(origin.to_string()), told, "one origin has one text");
        }
    }
    if let Ok(mut request) = EnrolRequest::decode(bytes) {
        let _refused = form::enrolment(request.clone());
        // Behind the token, whose length a fuzzer seldom guesses.
        request.token = vec![7; 32].into();
        let _refused = form::enrolment(request);
    }
});
