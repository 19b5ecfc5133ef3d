//! For each rule one certificate that breaks it.

mod chains;
mod issued;
mod leaves;
mod seals;

use rcgen::ExtendedKeyUsagePurpose::{ClientAuth, ServerAuth};
use rcgen::{CertificateParams, KeyPair};

use super::*;
use crate::error::CertError;
use crate::fixture::{NOW_US, Rogue, leaf_params};

const NODE: &str = "spiffe://jo/gov/mol/node/node1";

fn rule<T: std::fmt::Debug>(result: Result<T, CertError>) -> Rule {
    match result {
        Err(CertError::Refused(refused)) => refused.rule,
        other => panic!("not refused: {other:?}"),
    }
}

fn node_params() -> CertificateParams {
    leaf_params(NODE, &[ServerAuth, ClientAuth])
}

/// What the node profile says to a certificate that is right but for `alter`.
fn node_with(alter: impl FnOnce(&mut CertificateParams)) -> Result<crate::Verified<NodeTls>, CertError> {
    let (root, issuing) = Rogue::pair();
    let mut params = node_params();
    alter(&mut params);
    let leaf = issuing.sign(&params, &KeyPair::generate().unwrap());
    check_node_tls(&[leaf, issuing.der], &root, NOW_US)
}

fn node_rule(alter: impl FnOnce(&mut CertificateParams)) -> Rule {
    rule(node_with(alter))
}
