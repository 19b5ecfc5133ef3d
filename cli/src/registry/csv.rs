//! Members in a file (RFC 4180): every line is looked at, and each that is wrong is named.

use std::path::Path;

use jisr_proto::ident::MemberId;
use jisr_proto::snapshot::{Contact, ContactRole, Member};
use jisr_registry::administration::check_member;

use super::members::{Listed, sort};
use crate::failure::Failure;
use crate::output;

/// The columns that a file may have, in any order; the first three it must have.
const COLUMNS: [&str; 10] = [
    "member",
    "name_ar",
    "name_en",
    "subsystems",
    "operations_name",
    "operations_email",
    "operations_phone",
    "protection_name",
    "protection_email",
    "protection_phone",
];

/// Reads the members of a file, ascending by id.
///
/// # Errors
/// What is wrong with each line; then nothing of the file is used.
pub(super) fn members(path: &Path) -> Result<Vec<Member>, Failure> {
    let remedy = "correct these lines; nothing of the file was used";
    parse(&output::read_text(path)?).map_err(|faults| Failure::unusable(path, faults.join("\n  "), remedy))
}

fn parse(text: &str) -> Result<Vec<Member>, Vec<String>> {
    let mut records = records(text.strip_prefix('\u{FEFF}').unwrap_or(text))
        .map_err(|fault| vec![fault])?
        .into_iter();
    let (_, header) = records.next().ok_or_else(|| vec!["it is empty".to_owned()])?;
    check_header(&header).map_err(|fault| vec![fault])?;
    let (mut members, mut faults) = (Vec::<(usize, Member)>::new(), Vec::new());
    for (line, fields) in records {
        match member(&header, &fields) {
            Ok(row) => match members.iter().find(|(_, known)| known.id == row.id) {
                Some((first, _)) => faults.push(format!("line {line}: {} stands in line {first} already", row.id)),
                None => members.push((line, row)),
            },
            Err(fault) => faults.push(format!("line {line}: {fault}")),
        }
    }
    if members.is_empty() && faults.is_empty() {
        faults.push("it holds no member".to_owned());
    }
    if !faults.is_empty() {
        return Err(faults);
    }
    let mut members: Vec<Member> = members.into_iter().map(|(_, row)| row).collect();
    members.sort_by(|one, next| one.id.cmp(&next.id));
    Ok(members)
}

fn check_header(header: &[String]) -> Result<(), String> {
    for (at, name) in header.iter().enumerate() {
        if !COLUMNS.contains(&name.as_str()) {
            return Err(format!(
                "line 1: {name:?} is none of the columns {}",
                COLUMNS.join(", ")
            ));
        }
        if header.iter().take(at).any(|known| known == name) {
            return Err(format!("line 1: the column {name} stands there twice"));
        }
    }
    match COLUMNS
        .iter()
        .take(3)
        .find(|name| !header.iter().any(|known| known == *name))
    {
        Some(missing) => Err(format!("line 1: the column {missing} is missing")),
        None => Ok(()),
    }
}

fn member(header: &[String], fields: &[String]) -> Result<Member, String> {
    if fields.len() != header.len() {
        return Err(format!("{} fields instead of {}", fields.len(), header.len()));
    }
    let field = |name: &str| {
        let found = header.iter().zip(fields).find(|(column, _)| *column == name);
        found.map(|(_, value)| value.trim().to_owned()).unwrap_or_default()
    };
    let id: MemberId = field("member")
        .parse()
        .map_err(|e: jisr_proto::ident::IdentError| e.to_string())?;
    let listed = field("subsystems");
    let listed = listed.split(';').map(str::trim).filter(|part| !part.is_empty());
    let subsystems = listed
        .map(|part| part.parse::<Listed>().map(|it| it.0))
        .collect::<Result<_, _>>()?;
    let contact = |role: ContactRole, prefix: &str| {
        let [name, email, phone] = ["name", "email", "phone"].map(|part| field(&format!("{prefix}_{part}")));
        let given = !(name.is_empty() && email.is_empty() && phone.is_empty());
        given.then(|| Contact {
            role: role.into(),
            name,
            email,
            phone,
        })
    };
    let contacts = [
        (ContactRole::Operations, "operations"),
        (ContactRole::DataProtection, "protection"),
    ];
    let mut row = Member {
        id: id.to_string(),
        name_ar: field("name_ar"),
        name_en: field("name_en"),
        entry: 0,
        subsystems,
        contacts: contacts
            .into_iter()
            .filter_map(|(role, prefix)| contact(role, prefix))
            .collect(),
    };
    sort(&mut row);
    check_member(&row, &id.instance()).map(|_| row)
}

/// The records of a file, each with the line in which it begins. Empty lines are passed over.
fn records(text: &str) -> Result<Vec<(usize, Vec<String>)>, String> {
    let mut records = Vec::new();
    let (mut line, mut begun) = (1, 1);
    let (mut fields, mut field) = (Vec::new(), String::new());
    let (mut quoted, mut was_quoted) = (false, false);
    let mut letters = text.chars().peekable();
    while let Some(letter) = letters.next() {
        match letter {
            '"' if quoted && letters.peek() == Some(&'"') => {
                letters.next();
                field.push('"');
            }
            '"' if quoted => quoted = false,
            '"' if field.is_empty() && !was_quoted => (quoted, was_quoted) = (true, true),
            '"' => {
                return Err(format!(
                    "line {line}: a quotation mark inside a field that does not begin with one"
                ));
            }
            ',' if !quoted => {
                fields.push(std::mem::take(&mut field));
                was_quoted = false;
            }
            '\r' if !quoted && letters.peek() == Some(&'\n') => {}
            '\n' if !quoted => {
                end(&mut records, begun, &mut fields, &mut field, &mut was_quoted);
                line += 1;
                begun = line;
            }
            _ if was_quoted && !quoted => return Err(format!("line {line}: text follows a closing quotation mark")),
            letter => {
                line += usize::from(letter == '\n');
                field.push(letter);
            }
        }
    }
    if quoted {
        return Err(format!("line {begun}: a quotation mark is not closed"));
    }
    end(&mut records, begun, &mut fields, &mut field, &mut was_quoted);
    Ok(records)
}

fn end(
    records: &mut Vec<(usize, Vec<String>)>,
    begun: usize,
    fields: &mut Vec<String>,
    field: &mut String,
    was_quoted: &mut bool,
) {
    let empty = fields.is_empty() && field.trim().is_empty() && !*was_quoted;
    fields.push(std::mem::take(field));
    *was_quoted = false;
    let record = std::mem::take(fields);
    if !empty {
        records.push((begun, record));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: &str = "member,name_ar,name_en,subsystems,operations_name,operations_email\n";

    fn faults(lines: &str) -> Vec<String> {
        parse(&format!("{HEADER}{lines}")).expect_err("must be refused")
    }

    #[test]
    fn a_file_is_read_as_spreadsheets_write_it() {
        let text = "\u{FEFF}member,name_en,name_ar,subsystems\r\n\
                    JO/GOV/psd,Public Security Directorate,مديرية الأمن العام,\r\n\r\n\
                    JO/GOV/mol,\"Ministry of \"\"Labour\"\", Amman\",وزارة العمل,reports=التقارير|Reports; permits=تصاريح|Permits\r\n";
        let members = parse(text).unwrap();
        let ids: Vec<_> = members.iter().map(|row| row.id.as_str()).collect();
        assert_eq!(ids, ["JO/GOV/mol", "JO/GOV/psd"]);
        assert_eq!(members[0].name_en, "Ministry of \"Labour\", Amman");
        let codes: Vec<_> = members[0].subsystems.iter().map(|it| it.code.as_str()).collect();
        assert_eq!(codes, ["permits", "reports"]);
        assert!(members[1].subsystems.is_empty() && members[1].contacts.is_empty());
    }

    #[test]
    fn every_line_that_is_wrong_is_named() {
        let found = faults(
            "JO/GOV/mol,وزارة العمل,Ministry of Labour,,,\n\
             JO/GOV/psd,Public Security,Public Security,,,\n\
             JO/GOV/moh,وزارة الصحة,=HYPERLINK(1),,,\n\
             JO/GOV/gid,دائرة\u{202E},Directorate,,,\n\
             jo/gov/x,وزارة,Ministry,,,\n\
             JO/GOV/ssc,المؤسسة,Corporation,permits,,\n\
             JO/GOV/ccd,دائرة,Department,,هدى,nowhere\n\
             JO/GOV/moe,وزارة\n\
             JO/GOV/mol,وزارة العمل,Ministry of Labour,,,\n",
        );
        let lines: Vec<_> = found.iter().map(|fault| fault.split(':').next().unwrap()).collect();
        assert_eq!(
            lines,
            [
                "line 3", "line 4", "line 5", "line 6", "line 7", "line 8", "line 9", "line 10"
            ],
            "{found:#?}"
        );
    }

    #[test]
    fn what_is_no_table_is_refused() {
        for text in [
            "",
            "member,name_ar\n",
            "member,name_ar,name_en,colour\n",
            "member,member,name_ar,name_en\n",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(faults("JO/GOV/mol,\"x").len(), 1);
        assert_eq!(faults("JO/GOV/mol,\"x\"y,z,,,\n").len(), 1);
        assert_eq!(faults("JO/GOV/mol,x\"y,z,,,\n").len(), 1);
        assert_eq!(faults("").len(), 1);
    }
}
