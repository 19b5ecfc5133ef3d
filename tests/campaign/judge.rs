//! What must hold after every round.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use jisr_ledger::report::Verdict;
use jisr_ledger::verify::{self, Options};
use jisr_node::Layout;
use jisr_proto::ident::ExchangeId;
use jisr_proto::statement::Kind;
use jisr_tests::{Stood, World};

use crate::fault::{Fault, MEMBERS};
use crate::load::{Acknowledged, PAIRS};

/// How long unfinished exchanges may take to be settled once everything runs.
const QUIET: Duration = Duration::from_secs(60);

/// What a campaign has seen.
#[derive(Default)]
pub(crate) struct Tally {
    faults: BTreeMap<String, u64>,
    acknowledged: usize,
    in_networks_before: usize,
    in_network: usize,
}

impl Tally {
    /// A network was ended; the next one begins with no exchange.
    pub(crate) fn network_ended(&mut self) {
        self.in_networks_before += std::mem::take(&mut self.in_network);
    }

    /// A fault was played.
    pub(crate) fn struck(&mut self, fault: Fault) {
        let text = fault.to_string();
        let name = text.split([' ', '{']).next().unwrap_or_default();
        *self.faults.entry(name.to_owned()).or_default() += 1;
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let exchanges = self.in_networks_before + self.in_network;
        write!(f, "{exchanges} exchanges, {} acknowledged;", self.acknowledged)?;
        self.faults
            .iter()
            .try_for_each(|(fault, count)| write!(f, " {fault} {count}"))
    }
}

type Exchanges = BTreeMap<ExchangeId, Vec<Stood>>;

fn exchanges(world: &World, code: &str) -> Exchanges {
    let mut found = Exchanges::new();
    for stood in world.statements(code) {
        if let Ok(id) = ExchangeId::try_from(stood.core.exchange_id.as_ref()) {
            found.entry(id).or_default().push(stood);
        }
    }
    found
}

/// The side on which a member stands in an exchange.
fn asks(code: &str, statements: &[Stood]) -> bool {
    let consumer = statements.first().map(|stood| stood.core.consumer.as_str());
    consumer.is_some_and(|consumer| consumer.starts_with(&format!("JO/GOV/{code}/")))
}

/// How often an exchange is closed: a late answer follows a closing, and so does word that an answer is gone.
fn closings(statements: &[Stood], asks: bool) -> usize {
    let closes = |kind: Kind| match kind {
        Kind::Asked | Kind::Received | Kind::LateAnswer => false,
        Kind::AnswerGone => asks,
        _ => true,
    };
    statements.iter().filter(|stood| closes(stood.core.kind())).count()
}

/// Waits until every exchange is closed in every ledger.
pub(crate) async fn quiet(world: &World) {
    let open = |world: &World| {
        MEMBERS.iter().find_map(|code| {
            let found = exchanges(world, code);
            found
                .into_iter()
                .find(|(_, statements)| closings(statements, asks(code, statements)) == 0)
                .map(|(id, statements)| format!("{code}: {id}: {:?}", kinds(&statements)))
        })
    };
    let settled = tokio::time::timeout(QUIET, async {
        while open(world).is_some() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    });
    if settled.await.is_err() {
        panic!("not closed after {QUIET:?}: {:?}", open(world));
    }
}

fn kinds(statements: &[Stood]) -> Vec<Kind> {
    statements.iter().map(|stood| stood.core.kind()).collect()
}

/// Every claim of the campaign.
pub(crate) fn judge(world: &World, acknowledged: &[Acknowledged], tally: &mut Tally) {
    let ledgers: BTreeMap<&str, Exchanges> = MEMBERS.iter().map(|code| (*code, exchanges(world, code))).collect();
    for (code, found) in &ledgers {
        for (id, statements) in found {
            let closed = closings(statements, asks(code, statements));
            assert_eq!(closed, 1, "{code}: {id}: {:?}", kinds(statements));
        }
    }
    for pair in PAIRS {
        one_side_invents_nothing(world, &ledgers, pair.consumer, pair.provider);
    }
    for Acknowledged { id, pair } in acknowledged {
        let pair = PAIRS.get(*pair).expect("a pair of the load");
        let side = |code: &str| ledgers.get(code).and_then(|found| found.get(id));
        let (asked, answered) = (side(pair.consumer), side(pair.provider));
        let holds = |statements: Option<&Vec<Stood>>, wanted: &[Kind]| {
            statements.is_some_and(|statements| kinds(statements).iter().any(|kind| wanted.contains(kind)))
        };
        // The answer may have reached the application before DELIVERED was durable, and be gone since.
        let delivered = [Kind::Delivered, Kind::AnswerGone, Kind::LateAnswer];
        assert!(holds(asked, &delivered), "{id} was acknowledged: {asked:?}");
        assert!(
            holds(answered, &[Kind::Answered]),
            "{id} was acknowledged: {answered:?}"
        );
    }
    verified(world);
    tally.acknowledged += acknowledged.len();
    tally.in_network = ledgers.values().map(BTreeMap::len).sum::<usize>() / 2;
}

/// Nothing is answered that was not asked, and nothing runs twice.
fn one_side_invents_nothing(world: &World, ledgers: &BTreeMap<&str, Exchanges>, consumer: &str, provider: &str) {
    let asked = ledgers.get(consumer).expect("every member has a ledger");
    let answered = ledgers.get(provider).expect("every member has a ledger");
    let of_pair = |statements: &Vec<Stood>| asks(consumer, statements);
    for (id, _) in answered.iter().filter(|(_, statements)| of_pair(statements)) {
        assert!(
            asked.contains_key(id),
            "{id} was answered by {provider}, but never asked"
        );
    }
    for (id, statements) in asked.iter().filter(|(_, statements)| of_pair(statements)) {
        let runs = world.party(provider).backend.runs(&id.to_string());
        assert!(runs <= 1, "{id} ran {runs} times: {:?}", kinds(statements));
    }
}

/// Every ledger verifies as it lies there, and no checkpoint that anybody holds of another contradicts it.
fn verified(world: &World) {
    let anchor = world.anchor();
    let mut directories: Vec<_> = MEMBERS
        .iter()
        .map(|code| Layout::new(&world.party(code).dir).ledger())
        .collect();
    directories.push(world.registry_ledger());
    for directory in directories {
        let report = verify::directory(&directory, &anchor, &Options::default());
        let report = report.unwrap_or_else(|error| panic!("{}: {error}", directory.display()));
        assert_eq!(report.verdict, Verdict::Valid, "{}: {report:#?}", directory.display());
    }
}
