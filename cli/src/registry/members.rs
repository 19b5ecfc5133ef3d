//! Members: admitted, one or many at once, changed, removed.

use std::path::PathBuf;
use std::str::FromStr;

use clap::Args;
use jisr_proto::ident::{Code, MemberId};
use jisr_proto::registry::MembersRequest;
use jisr_proto::snapshot::{
    AdministrativeAct, Admission, Contact, ContactRole, Member, MemberChange, Removal, Subsystem,
};
use serde_json::json;

use super::signing::By;
use super::{Dir, EXIT_CODES, client, csv, tell_pending};
use crate::failure::Failure;
use crate::{output, runtime};

/// Propose a member, or those of a file; a second administrator must approve it
///
/// Prints the id of the act. Of a file either all lines are taken or none; each line that is wrong is named.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES, after_long_help = concat!(
    "Example:\n  jisr registry admit JO/GOV/mol --dir /var/lib/jisr-registry --administrator ./huda \\\n",
    "      --name-ar 'وزارة العمل' --name-en 'Ministry of Labour' \\\n",
    "      --operations 'Jisr desk,jisr@mol.example,+962 6 500 0000' --data-protection 'Dalia Haddad,dpo@mol.example'\n",
    "  jisr registry admit --csv members.csv --dir /var/lib/jisr-registry --administrator ./huda\n\n",
    "The file begins with a line of column names: member, name_ar, name_en, and if wanted subsystems (CODE=ARABIC|ENGLISH; \
     several parted by ;), operations_name, operations_email, operations_phone, protection_name, protection_email, \
     protection_phone. UTF-8, RFC 4180.\n\n",
    "Exit codes: 0 proposed · 1 refused, or the registry is not running · 64 wrong usage · 66 the file cannot be used · \
     70 this program or machine failed",
))]
pub(crate) struct Admit {
    /// `JO/GOV/mol`: instance, class, code
    #[arg(value_name = "MEMBER", required_unless_present = "csv", requires_all = ["name_ar", "name_en"])]
    member: Option<MemberId>,
    /// A file of members
    #[arg(long, value_name = "FILE", conflicts_with_all = ["member", "name_ar", "name_en", "subsystem", "operations", "data_protection"])]
    csv: Option<PathBuf>,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    row: Row,
    #[command(flatten)]
    by: By,
}

/// What a member is.
#[derive(Debug, Args)]
struct Row {
    /// Name in Arabic
    #[arg(long, value_name = "TEXT")]
    name_ar: Option<String>,
    /// Name in English
    #[arg(long, value_name = "TEXT")]
    name_en: Option<String>,
    /// A subsystem; repeatable. Where any is listed the member publishes and agrees under these only
    #[arg(long, value_name = "CODE=ARABIC|ENGLISH")]
    subsystem: Vec<Listed>,
    /// Who runs the member's nodes
    #[arg(long, value_name = "NAME,E-MAIL[,PHONE]")]
    operations: Option<Reached>,
    /// The member's data-protection officer
    #[arg(long, value_name = "NAME,E-MAIL[,PHONE]")]
    data_protection: Option<Reached>,
}

/// Change a member's names, subsystems or contacts
///
/// What is not named stays. Takes effect at once.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Change {
    /// `JO/GOV/mol`
    #[arg(value_name = "MEMBER")]
    member: MemberId,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    row: Row,
    /// List no subsystems: any may publish and agree
    #[arg(long, conflicts_with = "subsystem")]
    any_subsystem: bool,
    #[command(flatten)]
    by: By,
}

/// Propose to remove a member; a second administrator must approve it
///
/// Its nodes are revoked, its services withdrawn, its agreements revoked. Prints the id of the act.
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Remove {
    /// `JO/GOV/mol`
    #[arg(value_name = "MEMBER")]
    member: MemberId,
    /// Why; enters the registry's ledger
    #[arg(long, value_name = "TEXT")]
    reason: String,
    #[command(flatten)]
    registry: Dir,
    #[command(flatten)]
    by: By,
}

/// List members with names, subsystems and contacts
#[derive(Debug, Args)]
#[command(after_help = EXIT_CODES)]
pub(crate) struct Members {
    #[command(flatten)]
    registry: Dir,
    /// Print one array of objects {id, name_ar, name_en, entry, subsystems, contacts}
    #[arg(long)]
    json: bool,
}

/// A subsystem as it is typed.
#[derive(Debug, Clone)]
pub(super) struct Listed(pub(super) Subsystem);

/// A contact as it is typed.
#[derive(Debug, Clone)]
struct Reached(Contact);

impl FromStr for Listed {
    type Err = String;

    fn from_str(text: &str) -> Result<Listed, String> {
        let form = || format!("{text:?} is not CODE=ARABIC|ENGLISH");
        let (code, names) = text.split_once('=').ok_or_else(form)?;
        let (name_ar, name_en) = names.split_once('|').ok_or_else(form)?;
        let code: Code = code
            .trim()
            .parse()
            .map_err(|e: jisr_proto::ident::IdentError| e.to_string())?;
        Ok(Listed(Subsystem {
            code: code.to_string(),
            name_ar: name_ar.trim().to_owned(),
            name_en: name_en.trim().to_owned(),
        }))
    }
}

impl FromStr for Reached {
    type Err = String;

    fn from_str(text: &str) -> Result<Reached, String> {
        let mut parts = text.split(',').map(str::trim);
        let (name, email) = parts
            .next()
            .zip(parts.next())
            .ok_or_else(|| format!("{text:?} is not NAME,E-MAIL[,PHONE]"))?;
        let phone = parts.next().unwrap_or_default();
        if parts.next().is_some() {
            return Err(format!(
                "{text:?} has more than a name, an e-mail address and a telephone number"
            ));
        }
        Ok(Reached(Contact {
            role: 0,
            name: name.to_owned(),
            email: email.to_owned(),
            phone: phone.to_owned(),
        }))
    }
}

impl Row {
    /// Puts what was typed into a member's row.
    fn into(self, row: &mut Member) {
        if let Some(name) = self.name_ar {
            row.name_ar = name;
        }
        if let Some(name) = self.name_en {
            row.name_en = name;
        }
        if !self.subsystem.is_empty() {
            row.subsystems = self.subsystem.into_iter().map(|listed| listed.0).collect();
        }
        let contacts = [
            (ContactRole::Operations, self.operations),
            (ContactRole::DataProtection, self.data_protection),
        ];
        for (role, contact) in contacts {
            if let Some(Reached(contact)) = contact {
                row.contacts.retain(|known| known.role != i32::from(role));
                row.contacts.push(Contact {
                    role: role.into(),
                    ..contact
                });
            }
        }
        sort(row);
    }
}

/// Puts subsystems and contacts into the order in which rows have them.
pub(super) fn sort(row: &mut Member) {
    row.subsystems.sort_by(|one, next| one.code.cmp(&next.code));
    row.contacts.sort_by_key(|contact| contact.role);
}

impl Admit {
    pub(super) fn run(self) -> Result<(), Failure> {
        let members = match (&self.csv, self.member) {
            (Some(path), _) => csv::members(path)?,
            (None, member) => {
                let mut row = Member {
                    id: member.map(|id| id.to_string()).unwrap_or_default(),
                    ..Member::default()
                };
                self.row.into(&mut row);
                vec![row]
            }
        };
        let act = AdministrativeAct {
            admission: Some(Admission { members }),
            ..AdministrativeAct::default()
        };
        tell_pending(&runtime::block_on(self.by.does(&self.registry, act))?);
        Ok(())
    }
}

impl Change {
    pub(super) fn run(self) -> Result<(), Failure> {
        let answer = runtime::block_on(async {
            let found = list(&self.registry)
                .await?
                .into_iter()
                .find(|row| row.id == self.member.as_str());
            let mut row = found.ok_or_else(|| {
                let what = format!("{} is no member", self.member);
                Failure::refused(what, "you, the caller", "", "`jisr registry members` lists who is one")
            })?;
            row.entry = 0;
            if self.any_subsystem {
                row.subsystems.clear();
            }
            self.row.into(&mut row);
            let act = AdministrativeAct {
                change: Some(MemberChange { member: Some(row) }),
                ..AdministrativeAct::default()
            };
            self.by.does(&self.registry, act).await
        })?;
        output::say(format!(
            "{} is changed as of snapshot {}",
            self.member, answer.snapshot_version
        ));
        Ok(())
    }
}

impl Remove {
    pub(super) fn run(self) -> Result<(), Failure> {
        let removal = Removal {
            member: self.member.to_string(),
            reason: self.reason,
        };
        let act = AdministrativeAct {
            removal: Some(removal),
            ..AdministrativeAct::default()
        };
        tell_pending(&runtime::block_on(self.by.does(&self.registry, act))?);
        Ok(())
    }
}

impl Members {
    pub(super) fn run(self) -> Result<(), Failure> {
        let members = runtime::block_on(list(&self.registry))?;
        if self.json {
            return output::json(&members.iter().map(object).collect::<Vec<_>>());
        }
        for row in &members {
            output::line(show(row));
        }
        Ok(())
    }
}

async fn list(registry: &Dir) -> Result<Vec<Member>, Failure> {
    Ok(client(registry)
        .await?
        .members(MembersRequest {})
        .await?
        .into_inner()
        .members)
}

fn object(row: &Member) -> serde_json::Value {
    let subsystems = row.subsystems.iter();
    let contacts = row.contacts.iter();
    json!({
        "id": row.id,
        "name_ar": row.name_ar,
        "name_en": row.name_en,
        "entry": row.entry,
        "subsystems": subsystems
            .map(|it| json!({"code": it.code, "name_ar": it.name_ar, "name_en": it.name_en}))
            .collect::<Vec<_>>(),
        "contacts": contacts
            .map(|it| json!({"role": it.role().as_str_name(), "name": it.name, "email": it.email, "phone": it.phone}))
            .collect::<Vec<_>>(),
    })
}

/// A member in one line.
pub(super) fn show(row: &Member) -> String {
    let mut text = format!("{} {} · {}", row.id, row.name_ar, row.name_en);
    for it in &row.subsystems {
        text += &format!(" · {} {} {}", it.code, it.name_ar, it.name_en);
    }
    for it in &row.contacts {
        text += &format!(" · {} <{}> {}", it.name, it.email, it.phone);
    }
    output::printable(&text)
}
