//! Whether a ledger goes on where another one ended: its STARTED cites the head of that one.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use base64::{Engine, engine::general_purpose::STANDARD};
use jisr_proto::statement::{Core, Head, Kind, Started};
use prost::Message;

use super::{Options, directory};
use crate::{
    anchor::Anchor,
    frame::{Form, Next, Record, Records, SegmentScan, StoredParts, segment_name},
    report::{Check, Report, Verdict},
    statement::Tag,
};

/// Verifies the ledger in `dir` and the one in `predecessor` that it succeeds, and adds the check `succession` to the report on the
/// first.
///
/// # Errors
/// One of the directories or a file in it cannot be read.
pub fn succession(dir: &Path, predecessor: &Path, anchor: &Anchor, options: &Options) -> io::Result<Report> {
    let report = directory(dir, anchor, options)?;
    let (verdict, text) = judge(dir, predecessor, anchor)?;
    let mut checks = report.checks;
    checks.push(Check {
        id: "succession",
        verdict,
        text,
    });
    Ok(Report::of(checks, || report.reason, report.head))
}

type Finding = (Verdict, String);

fn judge(dir: &Path, predecessor: &Path, anchor: &Anchor) -> io::Result<Finding> {
    let invalid = |text: String| Ok((Verdict::Invalid, text));
    let Some(started) = first_statement(dir)? else {
        return invalid("it does not begin with STARTED".into());
    };
    let old = directory(predecessor, anchor, &Options::default())?;
    let Some(found) = old.head.as_ref().filter(|_| old.verdict != Verdict::Invalid) else {
        return invalid(format!("the predecessor does not verify: {}", old.reason));
    };
    let mut cited = started.succeeds.iter().filter(|head| head.origin == found.origin);
    let Some(own) = cited.next() else {
        return invalid(format!("STARTED cites no head of {}", found.origin));
    };
    if own.size > found.size {
        return invalid(format!(
            "STARTED cites {} with {} entries, here are {}: its tail is missing",
            found.origin, own.size, found.size
        ));
    }
    if own.size < found.size {
        return invalid(format!(
            "{} goes on with {} entries behind the head that STARTED cites",
            found.origin,
            found.size - own.size
        ));
    }
    if STANDARD.encode(&own.root) != found.root {
        return invalid(format!("STARTED cites another root of {} at its size", found.origin));
    }
    let worst = outsiders(&cited.collect::<Vec<_>>(), own, predecessor, anchor)?;
    if let Some(finding) = worst {
        return Ok(finding);
    }
    let ended = match last_kind(predecessor)? == Some(Kind::Ended) {
        true => "which ends with ENDED",
        false => "which has no ENDED",
    };
    Ok((
        Verdict::Valid,
        format!("STARTED cites all {} entries of {}, {ended}", own.size, own.origin),
    ))
}

/// What outsiders had seen of the old ledger, where the new one says that this was more, or something else.
fn outsiders(cited: &[&Head], own: &Head, predecessor: &Path, anchor: &Anchor) -> io::Result<Option<Finding>> {
    for head in cited {
        if head.size > own.size {
            let text = format!(
                "STARTED says that outsiders saw {} entries of {}: the last {} are lost",
                head.size,
                head.origin,
                head.size - own.size
            );
            return Ok(Some((Verdict::Indeterminate, text)));
        }
        let options = Options {
            checkpoint: Some(head.checkpoint.to_vec()),
        };
        let compared = directory(predecessor, anchor, &options)?;
        let stands = compared
            .check("checkpoint-given")
            .is_some_and(|check| check.verdict == Verdict::Valid);
        if !stands {
            let text = format!(
                "STARTED says that outsiders saw another history of {} at {} entries",
                head.origin, head.size
            );
            return Ok(Some((Verdict::Indeterminate, text)));
        }
    }
    Ok(None)
}

/// What the first statement says, if it is STARTED.
fn first_statement(dir: &Path) -> io::Result<Option<Started>> {
    let mut started = None;
    frames(dir, 0, |body| {
        started = statements(body).find_map(|(core, act)| match core.kind() {
            Kind::Started => Started::decode(act?.as_slice()).ok(),
            _ => None,
        });
        false
    })?;
    Ok(started)
}

fn last_kind(dir: &Path) -> io::Result<Option<Kind>> {
    let mut number = std::fs::read_dir(dir.join("segments"))?.count() as u64;
    let mut last = None;
    while last.is_none() && number > 0 {
        number -= 1;
        frames(dir, number, |body| {
            last = statements(body).last().map(|(core, _)| core.kind()).or(last);
            true
        })?;
    }
    Ok(last)
}

/// Shows the bodies of a segment, as long as `each` wants more.
fn frames(dir: &Path, number: u64, mut each: impl FnMut(&[u8]) -> bool) -> io::Result<()> {
    let file = BufReader::new(File::open(dir.join("segments").join(segment_name(number)))?);
    let Ok(mut scan) = SegmentScan::open(file) else {
        return Ok(());
    };
    while let Ok(Next::Frame { body, .. }) = scan.read_next() {
        if !each(&body) {
            break;
        }
    }
    Ok(())
}

/// Core and act of the statements in a body.
fn statements(body: &[u8]) -> impl Iterator<Item = (Core, Option<Vec<u8>>)> {
    Records::new(body).filter_map(|record| {
        let Ok(Record::Statement(stored)) = record else {
            return None;
        };
        let (mut core, mut act) = (None, None);
        for part in StoredParts::new(stored).ok()? {
            let part = part.ok()?;
            let Form::Clear { content, .. } = part.form else {
                continue;
            };
            match part.tag {
                Tag::Core => core = Core::decode(content).ok(),
                Tag::Act => act = Some(content.to_vec()),
                _ => {}
            }
        }
        Some((core?, act))
    })
}
