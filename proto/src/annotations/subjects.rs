//! Finding the persons that a message names.
//!
//! The message is walked along its schema; only what leads to a marked field is looked into. A field that stands more
//! than once is taken each time, since readers differ in which one they keep.

use std::collections::{BTreeSet, HashMap, VecDeque};

use prost_reflect::{FieldDescriptor, Kind, MessageDescriptor};
use unicode_normalization::UnicodeNormalization;

use super::options::Options;
use super::{SUBJECT_BYTES_MAX, SUBJECTS_MAX, SchemaError};
use crate::wire::{DELIMITED, Reader, VARINT, WireError};

/// Messages are followed this deep; protobuf readers stop at 100.
const DEPTH_MAX: usize = 100;

/// The messages of a service that a subject can be found in or below.
#[derive(Debug)]
pub(super) struct Graph {
    messages: Vec<Vec<(u32, Step)>>,
}

/// What to do with a field.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// It names a person: kind of identifier, and how it is written.
    Take(u32, Scalar),
    /// A person may be named in the message at this position.
    Enter(usize),
}

/// How an identifier is written.
#[derive(Clone, Copy, Debug)]
enum Scalar {
    Text,
    Int32,
    Int64,
    Uint32,
    Uint64,
}

/// Lays out the messages reachable from `roots`; returns the position of each root that leads to a subject.
pub(super) fn graph(
    roots: &[MessageDescriptor],
    options: &Options,
) -> Result<(Graph, Vec<Option<usize>>), SchemaError> {
    let mut positions: HashMap<String, usize> = HashMap::new();
    let mut waiting: VecDeque<MessageDescriptor> = VecDeque::new();
    let mut place = |message: &MessageDescriptor, waiting: &mut VecDeque<MessageDescriptor>| {
        let next = positions.len();
        *positions.entry(message.full_name().to_owned()).or_insert_with(|| {
            waiting.push_back(message.clone());
            next
        })
    };
    let root_positions: Vec<usize> = roots.iter().map(|root| place(root, &mut waiting)).collect();
    let mut messages: Vec<Vec<(u32, Step)>> = Vec::new();
    let mut enters: Vec<(usize, usize)> = Vec::new();
    // Messages get positions in the order in which they are put here, so each is laid out at its own position.
    while let Some(message) = waiting.pop_front() {
        let mut steps = Vec::new();
        for field in message.fields() {
            let kind = options
                .fields
                .get(field.full_name())
                .map_or(0, |options| options.subject);
            if let (Kind::Message(inner), 0) = (field.kind(), kind) {
                let inner = place(&inner, &mut waiting);
                enters.push((messages.len(), inner));
                steps.push((field.number(), Step::Enter(inner)));
            } else if kind != 0 {
                steps.push((field.number(), Step::Take(kind.cast_unsigned(), scalar(&field)?)));
            }
        }
        messages.push(steps);
    }
    let leads = leading(&messages, &enters);
    let leads_there = |position: usize| leads.get(position).copied().unwrap_or(false);
    for steps in &mut messages {
        steps.retain(|(_, step)| match step {
            Step::Take(..) => true,
            Step::Enter(position) => leads_there(*position),
        });
    }
    let roots = root_positions
        .into_iter()
        .map(|position| leads_there(position).then_some(position))
        .collect();
    Ok((Graph { messages }, roots))
}

/// For each message, whether a subject stands in it or below it.
fn leading(messages: &[Vec<(u32, Step)>], enters: &[(usize, usize)]) -> Vec<bool> {
    let mut parents: Vec<Vec<usize>> = vec![Vec::new(); messages.len()];
    for (parent, child) in enters {
        if let Some(parents) = parents.get_mut(*child) {
            parents.push(*parent);
        }
    }
    let mut leads = vec![false; messages.len()];
    let takes = |steps: &[(u32, Step)]| steps.iter().any(|(_, step)| matches!(step, Step::Take(..)));
    let mut waiting: Vec<usize> = messages
        .iter()
        .enumerate()
        .filter(|(_, steps)| takes(steps))
        .map(|(position, _)| position)
        .collect();
    while let Some(position) = waiting.pop() {
        if let Some(lead) = leads.get_mut(position)
            && !std::mem::replace(lead, true)
        {
            waiting.extend(parents.get(position).into_iter().flatten());
        }
    }
    leads
}

fn scalar(field: &FieldDescriptor) -> Result<Scalar, SchemaError> {
    match field.kind() {
        Kind::String => Ok(Scalar::Text),
        Kind::Int32 => Ok(Scalar::Int32),
        Kind::Int64 => Ok(Scalar::Int64),
        Kind::Uint32 => Ok(Scalar::Uint32),
        Kind::Uint64 => Ok(Scalar::Uint64),
        _ => Err(SchemaError::SubjectType(field.full_name().to_owned())),
    }
}

impl Graph {
    /// The subjects in a message whose root stands at `position`: kind and value, each once, ascending.
    pub(super) fn find(&self, position: usize, message: &[u8]) -> Result<BTreeSet<(u32, String)>, Stop> {
        let mut found = BTreeSet::new();
        self.walk(position, message, DEPTH_MAX, &mut found)?;
        Ok(found)
    }

    fn walk(
        &self,
        position: usize,
        message: &[u8],
        depth: usize,
        found: &mut BTreeSet<(u32, String)>,
    ) -> Result<(), Stop> {
        let below = depth.checked_sub(1).ok_or(Stop::Unreadable)?;
        let steps = self.messages.get(position).map_or(&[][..], Vec::as_slice);
        let mut reader = Reader::new(message);
        while !reader.is_empty() {
            let (number, wire) = reader.tag()?;
            let step = steps.iter().find(|(known, _)| *known == number).map(|(_, step)| *step);
            match (step, wire) {
                (Some(Step::Enter(inner)), DELIMITED) => self.walk(inner, reader.delimited()?, below, found)?,
                (Some(Step::Take(kind, Scalar::Text)), DELIMITED) => {
                    let text = std::str::from_utf8(reader.delimited()?).map_err(|_| Stop::Unreadable)?;
                    take(kind, text, found)?;
                }
                (Some(Step::Take(kind, scalar)), VARINT) => take(kind, &decimal(scalar, reader.varint()?), found)?,
                (Some(Step::Take(kind, scalar)), DELIMITED) => {
                    let mut packed = Reader::new(reader.delimited()?);
                    while !packed.is_empty() {
                        take(kind, &decimal(scalar, packed.varint()?), found)?;
                    }
                }
                _ => reader.skip(wire)?,
            }
        }
        Ok(())
    }
}

/// Why a walk ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stop {
    Unreadable,
    TooMany,
}

impl From<WireError> for Stop {
    fn from(_: WireError) -> Stop {
        Stop::Unreadable
    }
}

/// An integer in decimal, cut to its type as every protobuf reader does.
#[expect(
    clippy::cast_possible_truncation,
    reason = "the protobuf rule for integers of 32 bits"
)]
fn decimal(scalar: Scalar, value: u64) -> String {
    match scalar {
        Scalar::Int32 => (value as i32).to_string(),
        Scalar::Int64 => value.cast_signed().to_string(),
        Scalar::Uint32 => (value as u32).to_string(),
        Scalar::Uint64 | Scalar::Text => value.to_string(),
    }
}

fn take(kind: u32, text: &str, found: &mut BTreeSet<(u32, String)>) -> Result<(), Stop> {
    if text.is_empty() {
        return Ok(());
    }
    if text.len() > SUBJECT_BYTES_MAX {
        return Err(Stop::TooMany);
    }
    let value: String = text.nfc().collect();
    // Normalising can lengthen a text.
    if value.len() > SUBJECT_BYTES_MAX {
        return Err(Stop::TooMany);
    }
    found.insert((kind, value));
    if found.len() > SUBJECTS_MAX {
        Err(Stop::TooMany)
    } else {
        Ok(())
    }
}
