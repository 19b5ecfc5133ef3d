//! An officer's yes to an agreement: checked, put into the ledger, ready for the registry.

use jisr_certs::profile;
use jisr_ledger::statement::Draft;
use jisr_proto::admin::AgreeRequest;
use jisr_proto::canonical;
use jisr_proto::ident::SubsystemId;
use jisr_proto::reason::Reason;
use jisr_proto::registry;
use jisr_proto::statement::{Agreed, Agreement, Kind};
use jisr_proto::status::Fault;

use crate::closets::Closets;
use crate::node::administrative;
use crate::provider;

/// Checks the officer's signature and appends AGREED. Returns what the registry is to be told.
pub(crate) async fn agree(closets: &Closets, request: AgreeRequest) -> Result<registry::AgreeRequest, Fault> {
    let malformed = |detail: String| Fault::new(Reason::MalformedStatement, detail);
    let document: Agreement =
        canonical::decode(&request.document).map_err(|error| malformed(format!("the agreement: {error}")))?;
    let member = closets.node.member();
    let party = |subsystem: &str| {
        subsystem
            .parse::<SubsystemId>()
            .is_ok_and(|subsystem| subsystem.member() == member)
    };
    if !party(&document.consumer) && !party(&document.provider) {
        let detail = format!(
            "the agreement is between {} and {}",
            document.consumer, document.provider
        );
        return Err(Fault::new(Reason::SubsystemNotYours, detail));
    }
    check_officer(closets, &request)?;
    let digest = jisr_certs::digest::domain("jisr.agreement", &[&request.document]);
    let act = Agreed {
        agreement: digest.to_vec().into(),
        member: member.to_string(),
        certificates: request.certificates,
        signature: request.signature,
    };
    let draft = Draft::new(administrative(closets, Kind::Agreed)).act(&act);
    let (agreed, _) = provider::append_sealed(closets, vec![draft]).await?;
    Ok(registry::AgreeRequest {
        document: request.document,
        agreed: Some(agreed),
    })
}

/// The officer's certificate must be of this member's local CA, and its signature over this document.
fn check_officer(closets: &Closets, request: &AgreeRequest) -> Result<(), Fault> {
    let refused = |detail: String| Fault::new(Reason::CertificateInvalid, detail);
    let [officer, ca] = request.certificates.as_slice() else {
        return Err(refused(
            "two certificates are needed: the officer's and the local CA's".to_owned(),
        ));
    };
    let now = closets.clock.now_us();
    let ca = profile::check_local_ca(ca, now).map_err(|error| refused(error.to_string()))?;
    let view = closets.directory.current(closets.now_us())?;
    if closets.own_row(&view)?.local_ca != ca.sha256.as_slice() {
        return Err(refused(
            "the officer's certificate is not of this member's local CA".to_owned(),
        ));
    }
    let officer = profile::check_officer(officer, &ca, now).map_err(|error| refused(error.to_string()))?;
    officer
        .verify_agreement(&request.document, &request.signature)
        .map_err(|error| refused(error.to_string()))
}
