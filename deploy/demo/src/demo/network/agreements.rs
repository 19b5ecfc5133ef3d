//! Which agreements the demo concludes, and how: an officer of the consumer proposes, one of the provider accepts.

use tokio::task::JoinSet;

use crate::agency::Agency;
use crate::demo::DemoError;
use crate::demo::commands::Jisr;
use crate::demo::layout;

/// The purpose of the journey, as agreements and calls name it.
pub(in crate::demo) const PURPOSE: &str = "work-permit-renewal";

/// The legal basis that the Ministry of Labour's agreements name. The demo's own choice, not legal advice.
const LABOUR_LAW: &str = "Labour Law No. 8 of 1996, art. 12";

/// Who asks whom for what.
struct Terms {
    consumer: Agency,
    provider: Agency,
    methods: &'static [&'static str],
    purpose: &'static str,
    legal_basis: &'static str,
}

/// The Ministry of Labour may ask for a status, not for a record; what it publishes others may ask.
const AGREED: [Terms; 7] = [
    renewal(Agency::Psd, &["jo.residency.v1.ResidencePermits/CheckStatus"]),
    renewal(Agency::Moh, &["jo.health.v1.FitnessCertificates/Check"]),
    renewal(Agency::Ssc, &["jo.socialsecurity.v1.Contributions/Summary"]),
    renewal(
        Agency::Ccd,
        &[
            "jo.business.v1.Companies/CheckStatus",
            "jo.business.v1.Companies/GetCompany",
        ],
    ),
    renewal(Agency::Gid, &["jo.clearance.v1.Clearance/Check"]),
    Terms {
        consumer: Agency::Psd,
        provider: Agency::Mol,
        methods: &["jo.labour.v1.WorkPermits/CheckStatus", "jo.labour.v1.WorkPermits/Renew"],
        purpose: "one-stop-renewal",
        legal_basis: "Law on Residence and Foreigners' Affairs No. 24 of 1973",
    },
    Terms {
        consumer: Agency::Moh,
        provider: Agency::Psd,
        methods: &["jo.residency.v1.ResidencePermits/CheckStatus"],
        purpose: "health-insurance-entitlement",
        legal_basis: "Public Health Law No. 47 of 2008",
    },
];

const fn renewal(provider: Agency, methods: &'static [&'static str]) -> Terms {
    Terms {
        consumer: Agency::Mol,
        provider,
        methods,
        purpose: PURPOSE,
        legal_basis: LABOUR_LAW,
    }
}

/// Concludes all agreements. Returns the version of the first snapshot that lists them all.
pub(super) async fn conclude(jisr: &Jisr) -> Result<u64, DemoError> {
    let mut tasks: JoinSet<Result<u64, DemoError>> = AGREED.iter().map(|terms| sign(jisr.clone(), terms)).collect();
    let mut newest = 0;
    while let Some(signed) = tasks.join_next().await {
        newest = newest.max(signed.expect("no task is cancelled, and none panics")?);
    }
    Ok(newest)
}

async fn sign(jisr: Jisr, terms: &'static Terms) -> Result<u64, DemoError> {
    let (consumer, provider) = (terms.consumer.subsystem(), terms.provider.subsystem());
    let purpose = format!("{}:{}", terms.purpose, terms.legal_basis);
    let (asks, answers) = (layout::node(terms.consumer), layout::node(terms.provider));
    let (first, second) = (layout::officer(terms.consumer), layout::officer(terms.provider));

    let mut propose = vec![
        "node",
        "agree",
        "propose",
        "--dir",
        &asks,
        "--officer",
        &first,
        "--purpose",
        &purpose,
    ];
    propose.extend(["--consumer", &consumer, "--provider", &provider, "--json"]);
    propose.extend(terms.methods.iter().flat_map(|method| ["--method", method]));
    let digest = jisr.run(&propose).await?.text("digest")?;

    let accept = [
        "node",
        "agree",
        "accept",
        &digest,
        "--dir",
        &answers,
        "--officer",
        &second,
        "--json",
    ];
    jisr.run(&accept).await?.number("snapshot_version")
}
