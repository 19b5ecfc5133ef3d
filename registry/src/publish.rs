//! Publication of services: a schema with titles in Arabic and English, under a subsystem of the caller's member. What agreements
//! in force rest on is not broken.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;
use jisr_proto::annotations::{ServiceSchema, Titles};
use jisr_proto::breaking::{self, Break};
use jisr_proto::ident::{ServiceName, SubsystemId};
use jisr_proto::reason::Reason;
use jisr_proto::registry::{Affected, PublishRequest, PublishResponse};
use jisr_proto::snapshot as wire;

use crate::listing;
use crate::office::{Caller, Office};
use crate::refusal::Refusal;
use crate::state::{Act, Hash, Service};
use crate::text;

/// Agreements that a refusal names; a check names all.
const AGREEMENTS_NAMED_MAX: usize = 20;
/// Breaks that a refusal names.
const BREAKS_NAMED_MAX: usize = 5;
/// Characters of one of them: names in a schema may be of any length.
const BREAK_CHARS_MAX: usize = 300;

/// What an agreement in force rests on.
struct Resting {
    agreement: Hash,
    consumer: SubsystemId,
    /// Methods by the schema that the agreement names.
    methods: BTreeMap<Hash, BTreeSet<String>>,
}

/// A schema that can be published, before it is compared with others.
struct Offered {
    schema: ServiceSchema,
    digest: Hash,
    titles: Titles,
}

impl Office {
    /// Publishes or withdraws a service, or says what publishing it would break.
    ///
    /// # Errors
    /// SUBSYSTEM_NOT_YOURS, SCHEMA_INVALID, TITLE_MISSING, BREAKING_CHANGE, UNKNOWN_SERVICE, REQUEST_INVALID.
    pub(crate) async fn publish(&self, caller: Caller, request: PublishRequest) -> Result<PublishResponse, Refusal> {
        let service: ServiceName = request.service.parse()?;
        let provider: SubsystemId = request.provider.parse()?;
        if provider.member() != caller.member {
            let rule = format!("{provider} is not a subsystem of {}", caller.member);
            return Err(Refusal::new(Reason::SubsystemNotYours, rule));
        }
        let key = (service, provider);
        let now_us = self.base.clock.now_us();
        let (published, resting) = self.desk.look(|state| {
            let resting = state.resting(&key.0, &key.1, now_us);
            let resting: Result<Vec<Resting>, Refusal> =
                resting.map(|(digest, row)| rest(digest, row, &key.0)).collect();
            resting.map(|resting| (state.services().get(&key).cloned(), resting))
        })?;
        if request.withdraw {
            return self.withdraw(caller, key, published, &resting, request.check).await;
        }
        let offered = self.offered(&key.0, &request).await?;
        let listing = listing::complete(request.listing.unwrap_or_default(), &offered.schema, published.as_ref())?;
        let (titles, digest) = (offered.titles.clone(), offered.digest);
        let (affected, continues) = self.compare_schemas(&key.0, offered, published, resting).await?;
        let act = wire::ServiceAct {
            service: Some(wire::Service {
                name: key.0.to_string(),
                provider: key.1.to_string(),
                schema: Bytes::copy_from_slice(&digest),
                title_ar: titles.ar.to_string(),
                title_en: titles.en.to_string(),
                entry: 0,
                listing: Some(listing),
                continues,
            }),
            node: caller.node.to_string(),
            withdrawn: false,
        };
        if request.check && !affected.is_empty() {
            return Ok(checked(&act, affected));
        }
        unbroken(&key.0, &affected)?;
        // Checked before anything is stored, so that what is refused leaves no file.
        let planned = Act::Service(act.clone());
        self.desk.look(|state| state.check(&planned, now_us))?;
        if request.check {
            return Ok(checked(&act, affected));
        }
        self.base.schemas.put(request.schema).await?;
        self.enter_service(caller, act).await
    }

    /// Reads the schema where nobody waits for it: it comes from a stranger, and may be as large as schemas may be.
    async fn offered(&self, service: &ServiceName, request: &PublishRequest) -> Result<Offered, Refusal> {
        let (service, bytes) = (service.clone(), request.schema.clone());
        let (ar, en) = (request.title_ar.clone(), request.title_en.clone());
        let read = move || -> Result<Offered, Refusal> {
            let schema = ServiceSchema::parse(&bytes, service.as_str())?;
            schema.check_classified()?;
            let titles = schema.titles(&ar, &en)?;
            let digest = crate::schemas::digest_of(&bytes);
            Ok(Offered { schema, digest, titles })
        };
        self.blocking(read).await?
    }

    /// What the new schema breaks, and the earlier ones that it does not.
    async fn compare_schemas(
        &self,
        service: &ServiceName,
        offered: Offered,
        published: Option<Service>,
        resting: Vec<Resting>,
    ) -> Result<(Vec<Affected>, Vec<Bytes>), Refusal> {
        let mut digests: BTreeSet<Hash> = resting.iter().flat_map(|row| row.methods.keys().copied()).collect();
        digests.extend(published.as_ref().map(|row| row.schema));
        digests.remove(&offered.digest);
        let mut earlier = BTreeMap::new();
        for digest in digests {
            earlier.insert(digest, self.base.schemas.find(digest).await?);
        }
        let service = service.clone();
        let compare = move || -> Result<(Vec<Affected>, Vec<Bytes>), Refusal> {
            let parse = |(digest, bytes): (Hash, Bytes)| {
                Ok((digest, Arc::new(ServiceSchema::parse(&bytes, service.as_str())?)))
            };
            let earlier: BTreeMap<Hash, Arc<ServiceSchema>> =
                earlier.into_iter().map(parse).collect::<Result<_, Refusal>>()?;
            Ok(judge(
                &offered.schema,
                &earlier,
                published.map(|row| row.schema),
                &resting,
            ))
        };
        self.blocking(compare).await?
    }

    async fn withdraw(
        &self,
        caller: Caller,
        (service, provider): (ServiceName, SubsystemId),
        published: Option<Service>,
        resting: &[Resting],
        check: bool,
    ) -> Result<PublishResponse, Refusal> {
        let missing = || Refusal::new(Reason::UnknownService, format!("{provider} does not publish {service}"));
        let row = published.ok_or_else(missing)?;
        let act = wire::ServiceAct {
            service: Some(wire::Service {
                entry: 0,
                ..crate::snapshot::service(&service, &provider, &row)
            }),
            node: caller.node.to_string(),
            withdrawn: true,
        };
        if check {
            let gone =
                |row: &Resting| affected(row, vec![format!("{service}: the service is gone (SERVICE_NO_DELETE)")]);
            return Ok(checked(&act, resting.iter().map(gone).collect()));
        }
        self.enter_service(caller, act).await
    }

    async fn enter_service(&self, caller: Caller, act: wire::ServiceAct) -> Result<PublishResponse, Refusal> {
        let told = checked(&act, Vec::new());
        let done = self
            .desk
            .submit(move |state, _| {
                caller.listed(state)?;
                Ok((Act::Service(act), ()))
            })
            .await?;
        Ok(PublishResponse {
            snapshot_version: done.snapshot.version,
            ..told
        })
    }
}

fn rest(digest: &Hash, row: &crate::state::AgreementRow, service: &ServiceName) -> Result<Resting, Refusal> {
    let mut methods: BTreeMap<Hash, BTreeSet<String>> = BTreeMap::new();
    for method in row
        .agreement
        .methods
        .iter()
        .filter(|method| method.service == service.as_str())
    {
        let schema = crate::office::hash(&method.schema, "the schema of an agreement")?;
        methods.entry(schema).or_default().insert(method.method.clone());
    }
    Ok(Resting {
        agreement: *digest,
        consumer: row.consumer.clone(),
        methods,
    })
}

/// Compares with each earlier schema what agreements rest on of it, each combination once.
fn judge(
    new: &ServiceSchema,
    earlier: &BTreeMap<Hash, Arc<ServiceSchema>>,
    published: Option<Hash>,
    resting: &[Resting],
) -> (Vec<Affected>, Vec<Bytes>) {
    let mut known: BTreeMap<(Hash, &BTreeSet<String>), Vec<Break>> = BTreeMap::new();
    let (mut broken, mut continues) = (Vec::new(), BTreeSet::new());
    for row in resting {
        let mut found = BTreeSet::new();
        for (digest, methods) in &row.methods {
            let Some(old) = earlier.get(digest) else { continue };
            let breaks = known
                .entry((*digest, methods))
                .or_insert_with(|| breaking::breaks(old, new, methods));
            found.extend(breaks.iter().map(said));
            continues.insert(*digest);
        }
        if !found.is_empty() {
            broken.push(affected(row, found.into_iter().collect()));
        }
    }
    // Somebody may agree on what is published while this is decided: where nothing at all is broken, that holds too.
    if let Some((digest, old)) = published.and_then(|digest| earlier.get_key_value(&digest)) {
        let all = old.methods().map(|(name, _)| name.to_owned()).collect();
        if breaking::breaks(old, new, &all).is_empty() {
            continues.insert(*digest);
        }
    }
    let continues = continues.iter().map(|digest| Bytes::copy_from_slice(digest));
    (broken, continues.collect())
}

fn said(broken: &Break) -> String {
    broken.to_string().chars().take(BREAK_CHARS_MAX).collect()
}

fn affected(row: &Resting, breaks: Vec<String>) -> Affected {
    Affected {
        agreement: Bytes::copy_from_slice(&row.agreement),
        consumer: row.consumer.to_string(),
        breaks,
    }
}

fn checked(act: &wire::ServiceAct, affected: Vec<Affected>) -> PublishResponse {
    let row = act.service.clone().unwrap_or_default();
    PublishResponse {
        schema: row.schema,
        snapshot_version: 0,
        version: row.listing.map(|listing| listing.version).unwrap_or_default(),
        affected,
    }
}

/// # Errors
/// BREAKING_CHANGE with what is broken, and for whom.
fn unbroken(service: &ServiceName, affected: &[Affected]) -> Result<(), Refusal> {
    if affected.is_empty() {
        return Ok(());
    }
    let breaks: BTreeSet<&String> = affected.iter().flat_map(|row| &row.breaks).collect();
    let named = |row: &Affected| format!("{} of {}", text::hex(&row.agreement), row.consumer);
    let rule = format!(
        "this schema of {service} would break {} agreements: {}{}. What is broken: {}{}. Revoke them first, keep what they rest on, or \
         publish under another name; a check names everything",
        affected.len(),
        joined(affected.iter().take(AGREEMENTS_NAMED_MAX).map(named)),
        beyond(affected.len(), AGREEMENTS_NAMED_MAX),
        joined(breaks.iter().take(BREAKS_NAMED_MAX).map(|text| (*text).clone())),
        beyond(breaks.len(), BREAKS_NAMED_MAX),
    );
    Err(Refusal::new(Reason::BreakingChange, rule))
}

fn joined(texts: impl Iterator<Item = String>) -> String {
    texts.collect::<Vec<_>>().join("; ")
}

fn beyond(count: usize, named: usize) -> String {
    match count.saturating_sub(named) {
        0 => String::new(),
        more => format!("; and {more} more"),
    }
}
