//! What a ledger tells of each exchange, put together from its statements.

use std::collections::HashMap;
use std::collections::VecDeque;

use bytes::Bytes;
use jisr_proto::ident::{ExchangeId, MemberId, Origin, SubsystemId};
use jisr_proto::statement::{Core, Kind};

use super::{ArchiveError, Entry, Item, Items, Shown};
use crate::statement::{Act, Parsed, Tag};
use crate::tree::Hash;

/// On which side of an exchange the ledger's owner stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Role {
    /// It asked.
    Consumer,
    /// It was asked.
    Provider,
}

impl Role {
    /// The side for which an own statement of the ledger `own` speaks, by the ledger that was asked. Of a node that asks itself
    /// all statements are the provider's.
    #[must_use]
    pub fn of(statement: &Parsed, own: &Origin) -> Self {
        if statement.core().provider_origin == own.as_str() {
            Self::Provider
        } else {
            Self::Consumer
        }
    }

    /// `consumer` or `provider`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Consumer => "consumer",
            Self::Provider => "provider",
        }
    }
}

/// One exchange, as one side's ledger tells it.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchange {
    /// Its id.
    pub id: ExchangeId,
    /// Which side this is.
    pub role: Role,
    /// The member on the other side; empty where a refused call named none.
    pub peer: String,
    /// Consumer subsystem.
    pub consumer: String,
    /// Provider subsystem.
    pub provider: String,
    /// Origin of the ledger of the provider's node.
    pub provider_origin: String,
    /// Full name of the service.
    pub service: String,
    /// Name of the method.
    pub method: String,
    /// Digest of the agreement; empty where there is none.
    pub agreement: Bytes,
    /// When the first statement of it was made here, microseconds.
    pub began_us: u64,
    /// When it was closed here, microseconds; `None` while it is open.
    pub closed_us: Option<u64>,
    /// What closed it here; `None` while it is open.
    pub outcome: Option<Kind>,
    /// gRPC status of what closed it.
    pub status: u32,
    /// Reason of what closed it; empty where none is given.
    pub rule: String,
    /// Index of the first statement.
    pub first: u64,
    /// Index of what closed it.
    pub closing: Option<u64>,
    /// The question, or what closed a call of which no question was made: it holds purpose, case and the like. `None` where
    /// a provider's ledger holds no question.
    pub question: Option<Box<Entry>>,
}

impl Exchange {
    /// The question's statement.
    #[must_use]
    pub fn asked(&self) -> Option<&Parsed> {
        self.question.as_ref().map(|entry| &entry.statement)
    }

    /// Purpose code; `None` where it is absent or erased.
    #[must_use]
    pub fn purpose(&self) -> Option<&str> {
        self.asked()?.purpose()
    }

    /// What closed it, in lower case, or `open`.
    #[must_use]
    pub fn outcome_name(&self) -> String {
        self.outcome
            .map_or_else(|| "open".to_owned(), |kind| kind.as_str_name().to_ascii_lowercase())
    }
}

/// What [`Exchanges`] yields.
#[derive(Clone, Debug, PartialEq)]
pub enum Row {
    /// An exchange: when it is closed, or, of those that are open, at the end of the ledger.
    Exchange(Box<Exchange>),
    /// An administrative act.
    Act {
        /// Index of its statement.
        index: u64,
        /// The statement.
        entry: Box<Entry>,
    },
}

/// An open exchange is known by its id, by the side, and at the provider by the question's leaf besides: two questions may
/// come with one id.
type Key = (ExchangeId, Role, Hash);

/// The exchanges and acts of a ledger, in the order of closing. Memory is bounded by what is open at a time. After an error
/// there are no more.
#[derive(Debug)]
pub struct Exchanges<'a> {
    items: Items<'a>,
    own: Option<Own>,
    /// The newest statement, until it is known whether what it cites follows it.
    newest: Option<(u64, Box<Entry>)>,
    open: HashMap<Key, Box<Exchange>>,
    ready: VecDeque<Row>,
    is_over: bool,
}

/// Whose ledger it is.
#[derive(Debug)]
struct Own {
    origin: String,
    member: Option<MemberId>,
}

impl<'a> Exchanges<'a> {
    /// Puts together what the items tell.
    #[must_use]
    pub fn new(items: Items<'a>) -> Self {
        Self {
            items,
            own: None,
            newest: None,
            open: HashMap::new(),
            ready: VecDeque::new(),
            is_over: false,
        }
    }

    /// Origin of the ledger, once its first statement was read.
    #[must_use]
    pub fn origin(&self) -> Option<&str> {
        self.own.as_ref().map(|own| own.origin.as_str())
    }
}

impl Iterator for Exchanges<'_> {
    type Item = Result<Row, ArchiveError>;

    fn next(&mut self) -> Option<Self::Item> {
        while self.ready.is_empty() && !self.is_over {
            match self.items.next() {
                None => self.end(),
                Some(Err(error)) => {
                    self.is_over = true;
                    return Some(Err(error));
                }
                Some(Ok((_, Item::Statement { index, entry }))) => {
                    self.settle(None);
                    self.newest = Some((index, entry));
                }
                Some(Ok((_, Item::PeerStatement(shown)))) => self.settle(Some(shown)),
                Some(Ok(_)) => {}
            }
        }
        self.ready.pop_front().map(Ok)
    }
}

impl Exchanges<'_> {
    /// Takes the newest statement, now that it is known what of the other side stands with it.
    fn settle(&mut self, cited: Option<Box<Shown>>) {
        let Some((index, entry)) = self.newest.take() else {
            return;
        };
        if let Some(Act::Started(started)) = entry.statement.act() {
            let member = started.origin.parse::<Origin>().ok().and_then(|origin| origin.member());
            self.own = Some(Own {
                origin: started.origin.clone(),
                member,
            });
        }
        let Ok(id) = ExchangeId::try_from(entry.statement.core().exchange_id.as_ref()) else {
            self.ready.push_back(Row::Act { index, entry });
            return;
        };
        let role = self.role(id, &entry.statement);
        let asked = match role {
            Role::Provider => cited_leaf(&entry.statement).unwrap_or_default(),
            Role::Consumer => Hash::default(),
        };
        let key = (id, role, asked);
        match entry.statement.kind() {
            Kind::LateAnswer => {}
            Kind::Asked => {
                let exchange = begun(id, role, index, entry.statement.core().clone(), Some(entry));
                self.open.insert(key, exchange);
            }
            Kind::Received => {
                let question = cited.map(|shown| Box::new(shown.entry));
                let exchange = begun(id, role, index, entry.statement.core().clone(), question);
                self.open.insert(key, exchange);
            }
            kind => self.close(key, kind, index, entry, cited),
        }
    }

    fn close(&mut self, key: Key, kind: Kind, index: u64, entry: Box<Entry>, cited: Option<Box<Shown>>) {
        let known = match stands_alone(&entry.statement, key.1) {
            true => None,
            false => self.open.remove(&key),
        };
        // It repeats that an exchange is closed that was yielded before.
        if known.is_none() && kind == Kind::AnswerGone && key.1 == Role::Provider {
            return;
        }
        let core = entry.statement.core().clone();
        let mut exchange = known.unwrap_or_else(|| {
            let question = match key.1 {
                Role::Provider => cited.map(|shown| Box::new(shown.entry)),
                Role::Consumer => Some(entry),
            };
            begun(key.0, key.1, index, core.clone(), question)
        });
        exchange.closed_us = Some(core.created_us);
        exchange.outcome = Some(kind);
        exchange.status = core.status;
        exchange.rule = core.rule;
        exchange.closing = Some(index);
        self.ready.push_back(Row::Exchange(exchange));
    }

    /// Which side an own statement speaks for. A member may ask itself, and even a node itself: then the provider's closing
    /// cites the question, the consumer's the provider's closing or nothing.
    fn role(&self, id: ExchangeId, statement: &Parsed) -> Role {
        match statement.kind() {
            Kind::Asked | Kind::Delivered | Kind::LateAnswer | Kind::NotSent => return Role::Consumer,
            Kind::Received | Kind::Answered => return Role::Provider,
            _ => {}
        }
        let core = statement.core();
        let Some(own) = self.own.as_ref().filter(|own| own.origin == core.provider_origin) else {
            return Role::Consumer;
        };
        let Some(citation) = statement.citation() else {
            return Role::Consumer;
        };
        if own.member.is_none() || member_of(&core.consumer) != own.member || citation.origin != own.origin {
            return Role::Provider;
        }
        let question = self.open.get(&(id, Role::Consumer, Hash::default()));
        match question.and_then(|exchange| exchange.asked()) {
            Some(asked) if asked.leaf() == citation.leaf.as_ref() => Role::Provider,
            _ => Role::Consumer,
        }
    }

    /// The ledger is read: what is open comes last, by index.
    fn end(&mut self) {
        self.settle(None);
        self.is_over = true;
        let mut open: Vec<_> = self.open.drain().map(|(_, exchange)| exchange).collect();
        open.sort_unstable_by_key(|exchange| (exchange.first, exchange.role));
        self.ready.extend(open.into_iter().map(Row::Exchange));
    }
}

/// Whether a closing statement belongs to a call of which no question was made: one that was refused at home, perhaps
/// because its id is that of another.
fn stands_alone(statement: &Parsed, role: Role) -> bool {
    let states = |tag| statement.part(tag).is_some();
    role == Role::Consumer
        && statement.citation().is_none()
        && [
            Tag::Purpose,
            Tag::Case,
            Tag::Officer,
            Tag::Consent,
            Tag::Duty,
            Tag::Subject,
        ]
        .into_iter()
        .any(states)
}

fn cited_leaf(statement: &Parsed) -> Option<Hash> {
    statement.citation()?.leaf.as_ref().try_into().ok()
}

fn begun(id: ExchangeId, role: Role, index: u64, core: Core, question: Option<Box<Entry>>) -> Box<Exchange> {
    let peer = match role {
        Role::Consumer => member_of(&core.provider),
        Role::Provider => member_of(&core.consumer),
    };
    Box::new(Exchange {
        id,
        role,
        peer: peer.map(|member| member.to_string()).unwrap_or_default(),
        consumer: core.consumer,
        provider: core.provider,
        provider_origin: core.provider_origin,
        service: core.service,
        method: core.method,
        agreement: core.agreement,
        began_us: core.created_us,
        closed_us: None,
        outcome: None,
        status: 0,
        rule: String::new(),
        first: index,
        closing: None,
        question,
    })
}

fn member_of(subsystem: &str) -> Option<MemberId> {
    subsystem
        .parse::<SubsystemId>()
        .ok()
        .map(|subsystem| subsystem.member())
}
