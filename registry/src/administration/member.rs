//! What a member's row must look like, wherever it comes from: a command, a file, an act.

use std::collections::BTreeSet;

use jisr_proto::ident::{Code, Instance, MemberId};
use jisr_proto::snapshot::{Contact, ContactRole, Member};

use crate::text;

/// Subsystems of one member.
const SUBSYSTEMS_MAX: usize = 256;

/// Checks a member as it is to be admitted or changed; returns its id.
///
/// # Errors
/// The rule that it breaks, in words.
pub fn check(row: &Member, instance: &Instance) -> Result<MemberId, String> {
    let id: MemberId = row
        .id
        .parse()
        .map_err(|e: jisr_proto::ident::IdentError| e.to_string())?;
    if id.instance() != *instance {
        return Err(format!("{id} does not belong to the instance {instance}"));
    }
    text::arabic(&row.name_ar).map_err(|e| format!("Arabic name of {id}: {e}"))?;
    text::english(&row.name_en).map_err(|e| format!("English name of {id}: {e}"))?;
    if row.entry != 0 {
        return Err(format!("{id} comes with an entry; the registry knows where it stands"));
    }
    subsystems(row, &id)?;
    if !row.contacts.is_sorted_by(|one, next| one.role < next.role) {
        return Err(format!(
            "{id} has two contacts of one role, or not in the order of roles"
        ));
    }
    row.contacts
        .iter()
        .try_for_each(|it| contact(it).map_err(|e| format!("contact of {id}: {e}")))?;
    Ok(id)
}

fn subsystems(row: &Member, id: &MemberId) -> Result<(), String> {
    if row.subsystems.len() > SUBSYSTEMS_MAX {
        return Err(format!("{id} has more than {SUBSYSTEMS_MAX} subsystems"));
    }
    let mut seen = BTreeSet::new();
    for it in &row.subsystems {
        let code: Code = it.code.parse().map_err(|e| format!("subsystem of {id}: {e}"))?;
        if id.subsystem(&code).is_none() {
            return Err(format!("subsystem of {id}: the code {code} is reserved"));
        }
        if !seen.insert(code) {
            return Err(format!("subsystem {} of {id} stands there twice", it.code));
        }
        text::arabic(&it.name_ar).map_err(|e| format!("Arabic name of {id}/{}: {e}", it.code))?;
        text::english(&it.name_en).map_err(|e| format!("English name of {id}/{}: {e}", it.code))?;
    }
    if !row.subsystems.is_sorted_by(|one, next| one.code < next.code) {
        return Err(format!("the subsystems of {id} are not in the order of their codes"));
    }
    Ok(())
}

fn contact(row: &Contact) -> Result<(), String> {
    if ContactRole::try_from(row.role).map_or(true, |role| role == ContactRole::Unspecified) {
        return Err("its role is neither operations nor data protection".to_owned());
    }
    text::person(&row.name).map_err(|e| format!("name: {e}"))?;
    text::email(&row.email)?;
    if row.phone.is_empty() {
        return Ok(());
    }
    text::phone(&row.phone)
}

#[cfg(test)]
mod tests {
    use super::*;
    use jisr_proto::snapshot::Subsystem;

    fn member() -> Member {
        Member {
            id: "JO/GOV/mol".into(),
            name_ar: "وزارة العمل".into(),
            name_en: "Ministry of Labour".into(),
            entry: 0,
            subsystems: ["permits", "reports"]
                .map(|code| Subsystem {
                    code: code.into(),
                    name_ar: "تصاريح العمل".into(),
                    name_en: "Permits".into(),
                })
                .into(),
            contacts: [ContactRole::Operations, ContactRole::DataProtection]
                .map(|role| Contact {
                    role: role.into(),
                    name: "هدى".into(),
                    email: "jisr@mol.example".into(),
                    phone: "+962 6 500 0000".into(),
                })
                .into(),
        }
    }

    #[test]
    fn a_member_has_clean_names_in_both_languages() {
        let jo: Instance = "JO".parse().unwrap();
        assert_eq!(check(&member(), &jo), Ok("JO/GOV/mol".parse().unwrap()));
        let breaks: [fn(&mut Member); 19] = [
            |row| row.name_ar.clear(),
            |row| row.name_en.clear(),
            |row| row.name_ar = "Ministry".into(),
            |row| row.name_ar.push('\u{202E}'),
            |row| row.name_en.push('\u{200B}'),
            |row| row.name_en.insert(0, '='),
            |row| row.name_ar.insert(0, '@'),
            |row| row.id = "JO/GOV/Mol".into(),
            |row| row.id = "SY/GOV/mol".into(),
            |row| row.entry = 1,
            |row| row.subsystems.reverse(),
            |row| row.subsystems[0].code = "node".into(),
            |row| row.subsystems[1].code = "permits".into(),
            |row| row.subsystems[0].name_ar.clear(),
            |row| row.contacts.reverse(),
            |row| row.contacts[0].role = 0,
            |row| row.contacts[0].name = "=cmd()".into(),
            |row| row.contacts[0].email = "mol.example".into(),
            |row| row.contacts[0].phone = "=1+1".into(),
        ];
        for (at, break_it) in breaks.iter().enumerate() {
            let mut row = member();
            break_it(&mut row);
            assert!(check(&row, &jo).is_err(), "rule {at}");
        }
    }
}
