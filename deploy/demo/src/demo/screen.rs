//! What people see: progress, the table, and how to go on.

use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::agency::{self, Agency};

use super::journey::{DUTY, Exchange, Journey, Renewal};
use super::network::{Network, PURPOSE};
use super::processes::Ended;
use super::proof::Proof;

/// Isolates text of another direction, so that Arabic does not reorder the line it stands in (Unicode UAX 9).
fn isolated(text: &str) -> String {
    format!("\u{2068}{text}\u{2069}")
}

/// Prints a line. A reader that has gone away is no reason to stop: the network and its evidence are what counts.
fn line(text: impl std::fmt::Display) {
    let _gone = writeln!(std::io::stdout().lock(), "{text}");
}

pub(super) fn opening(root: &Path) {
    line("Jisr: a registry, six agencies, and the renewal of work permits. All people and companies are invented.");
    line(format_args!("everything lies in {}\n", root.display()));
    for agency in agency::ALL {
        line(format_args!(
            "  {agency}  {:<34} {}",
            agency.name_en(),
            isolated(agency.name_ar())
        ));
    }
    line("");
}

pub(super) fn note(text: &str) {
    line(text);
}

/// A process that ended while the network was up.
pub(super) fn ended(ended: &Ended) {
    let Ended { name, status, log } = ended;
    line(format_args!(
        "{name} has ended ({status}), the others go on; its log is {}",
        log.display()
    ));
}

/// The last line of all.
pub(super) fn last(text: &str) {
    line(text);
}

/// A step that takes a while.
pub(super) struct Step {
    name: String,
    begun: Instant,
}

/// Begins a step.
pub(super) fn step(name: &str) -> Step {
    Step {
        name: name.to_owned(),
        begun: Instant::now(),
    }
}

impl Step {
    /// The step is over.
    pub(super) fn done(self) {
        line(format_args!(
            "  {:>5.1} s  {}",
            self.begun.elapsed().as_secs_f64(),
            self.name
        ));
    }
}

/// Every exchange, person by person.
pub(super) fn table(journey: &Journey, proof: &Proof) {
    let purpose = format!("for {PURPOSE}");
    line(format_args!("\nwho asked whom, {purpose}, and what was answered"));
    for renewal in &journey.renewals {
        heading(renewal);
        for exchange in &renewal.exchanges {
            row(exchange, proof);
        }
        match renewal.obstacles.as_slice() {
            [] => line("  => may be renewed"),
            obstacles => line(format_args!("  => not renewed: {}", obstacles.join("; "))),
        }
    }
    line("\na question that no agreement allows: the ministry may ask for a status, not for the permit itself");
    row(&journey.forbidden, proof);
}

fn heading(renewal: &Renewal) {
    let (person, permit) = (&renewal.scene.person, &renewal.scene.permit);
    let [arabic, latin] = &person.names;
    line(format_args!(
        "\n{}  {}  {}, personal number {}, work permit {} until {}",
        isolated(&arabic.full()),
        latin.full(),
        person.nationality,
        person.number,
        permit.number,
        permit.until,
    ));
}

fn row(exchange: &Exchange, proof: &Proof) {
    let (_, method) = exchange.method.rsplit_once('.').unwrap_or_default();
    let evidence = proof.files.get(&exchange.id).map_or("no evidence file", String::as_str);
    line(format_args!(
        "  {} -> {}  {:<30} {PURPOSE}  {:<32} {}  {evidence}",
        Agency::Mol,
        exchange.provider,
        method,
        exchange.answer,
        time_of(&exchange.id),
    ));
    if let Some(why) = proof.lacking.get(&exchange.id) {
        line(format_args!("      its evidence: {why}"));
    }
}

/// The time of an exchange, which stands in its id: a UUID of version 7 begins with the milliseconds since 1970 (RFC 9562).
fn time_of(id: &str) -> String {
    let digits: String = id.chars().filter(|c| *c != '-').take(12).collect();
    let time = i128::from_str_radix(&digits, 16)
        .ok()
        .and_then(|ms| time::OffsetDateTime::from_unix_timestamp_nanos(ms * 1_000_000).ok());
    match time {
        Some(t) => format!(
            "{:02}:{:02}:{:02}.{:03}Z",
            t.hour(),
            t.minute(),
            t.second(),
            t.millisecond()
        ),
        None => "-".to_owned(),
    }
}

/// The flipped bit.
pub(super) fn tampering(proof: &Proof) {
    let tampered = &proof.tampered;
    line(format_args!(
        "\none bit of byte {} flipped in a copy, {}",
        tampered.byte, tampered.file
    ));
    line(format_args!(
        "  the verifier says {}: {}",
        tampered.verdict, tampered.reason
    ));
}

pub(super) fn verdict(held: bool, elapsed: Duration) {
    let words = if held {
        "everything held"
    } else {
        "NOT everything held: see above"
    };
    line(format_args!("\n{words}, after {:.1} s\n", elapsed.as_secs_f64()));
}

/// How to call the network with other programs, and how to verify with this one, which may not stand in the reader's path.
pub(super) fn invitation(program: &Path, root: &Path, network: &Network, journey: &Journey, proof: &Proof) {
    let Ok(node) = network.node(Agency::Mol) else { return };
    let Some(renewal) = journey.renewals.first() else {
        return;
    };
    let (root, number, door) = (root.display(), &renewal.scene.person.number, node.local);
    let method = "jo.residency.v1.ResidencePermits/CheckStatus";
    line("The network stays up. Ask it yourself, as the Ministry of Labour's application:\n");
    line(format_args!(
        "grpcurl -cacert {root}/clients/mol/ca.pem -cert {root}/clients/mol/cert.pem -key {root}/clients/mol/key.pem \\\n  \
         -H 'jisr-purpose: {PURPOSE}' -H 'jisr-duty: {DUTY}' \\\n  \
         -d '{{\"person\": {{\"personalNumber\": \"{number}\"}}}}' \\\n  {door} {method}\n"
    ));
    line(format_args!(
        "python3 -m pip install grpcio grpcio-tools && mkdir -p stubs\n\
         python3 -m grpc_tools.protoc -I {root}/protos --python_out=stubs --grpc_python_out=stubs \\\n  \
         $(find {root}/protos -name '*.proto')\n\
         PYTHONPATH=stubs python3 - <<'END'\n\
         import grpc\n\
         from jo.common.v1 import people_pb2\n\
         from jo.residency.v1 import residency_pb2, residency_pb2_grpc\n\
         read = lambda name: open('{root}/clients/mol/' + name, 'rb').read()\n\
         credentials = grpc.ssl_channel_credentials(read('ca.pem'), read('key.pem'), read('cert.pem'))\n\
         permits = residency_pb2_grpc.ResidencePermitsStub(grpc.secure_channel('{door}', credentials))\n\
         person = people_pb2.PersonRef(personal_number='{number}')\n\
         request = residency_pb2.CheckStatusRequest(person=person)\n\
         says = [('jisr-purpose', '{PURPOSE}'), ('jisr-duty', '{DUTY}')]\n\
         print(permits.CheckStatus(request, metadata=says))\n\
         END\n"
    ));
    let program = program.display();
    if let Some(file) = proof.files.values().next() {
        line(format_args!(
            "{program} evidence verify {root}/{file} --anchor {root}/anchor"
        ));
    }
    line(format_args!(
        "{program} ledger verify {root}/nodes/mol/ledger --anchor {root}/anchor\n"
    ));
    line("Ctrl-C ends everything.");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_time_is_read_from_the_id() {
        assert_eq!(time_of("018cc251-f400-7000-8000-000000000000"), "00:00:00.000Z");
        assert_eq!(time_of(""), "-");
        assert_eq!(time_of("zzzz"), "-");
    }
}
