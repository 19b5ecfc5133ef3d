//! The text of a `.proto` file, from its descriptors: compiled again, it gives the same descriptors.
//!
//! A catalogue holds FileDescriptorSets; people and some tools want files. Comments are not in descriptors that are published, so
//! they are not in the text. What comes from a publisher's strings is escaped where it would steer a terminal or an editor.

mod options;
mod scope;
#[cfg(test)]
mod tests;
mod writer;

use std::panic::{AssertUnwindSafe, catch_unwind};

use prost_reflect::{DescriptorPool, FileDescriptor, MethodDescriptor, ServiceDescriptor, Syntax};

use writer::Writer;

/// Longest text of one file, bytes. Descriptors name by number what a text writes out, so a small set can have a long text.
pub const TEXT_BYTES_MAX: usize = 16 << 20;

/// Why descriptors have no text.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PrintError {
    /// A name that no file can have.
    #[error("`{0}` is no name that a .proto file can have; take the FileDescriptorSet")]
    Name(String),
    /// An option that the set does not declare, or in a form that has no text.
    #[error("an option of {0} cannot be written as text; take the FileDescriptorSet")]
    Options(String),
    /// More than [`TEXT_BYTES_MAX`].
    #[error("the text would be longer than {TEXT_BYTES_MAX} bytes; take the FileDescriptorSet")]
    TooLong,
}

/// One file with its text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceFile {
    /// Its name, a path as imports write it: relative, without `..`.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Every file of a set, without those of `google/protobuf`, which every tool brings along.
///
/// # Errors
/// [`PrintError`].
pub fn files(pool: &DescriptorPool) -> Result<Vec<SourceFile>, PrintError> {
    let own = pool.files().filter(|file| !file.name().starts_with("google/protobuf/"));
    let mut left = TEXT_BYTES_MAX;
    own.map(|file| {
        let text = text(&file)?;
        left = left.checked_sub(text.len()).ok_or(PrintError::TooLong)?;
        Ok(SourceFile {
            name: path(file.name())?,
            text,
        })
    })
    .collect()
}

/// The text of one file.
///
/// # Errors
/// [`PrintError`].
pub fn text(file: &FileDescriptor) -> Result<String, PrintError> {
    // prost-reflect panics over options that do not fit what the same set declares for them.
    let printed = catch_unwind(AssertUnwindSafe(|| print(file)));
    printed.unwrap_or_else(|_| Err(PrintError::Options(file.name().chars().take(200).collect())))
}

/// A file's name, if it is a path below the folder where it is written.
fn path(name: &str) -> Result<String, PrintError> {
    let plain = |part: &str| {
        let known = |letter: char| letter.is_ascii_alphanumeric() || matches!(letter, '_' | '-' | '.' | '+');
        !part.is_empty() && part != "." && part != ".." && part.chars().all(known)
    };
    if name.len() <= 255 && name.split('/').all(plain) {
        Ok(name.to_owned())
    } else {
        Err(PrintError::Name(name.escape_default().take(200).collect()))
    }
}

fn print(file: &FileDescriptor) -> Result<String, PrintError> {
    let proto = file.file_descriptor_proto();
    let mut out = Writer::default();
    let syntax = match file.syntax() {
        Syntax::Proto2 => "proto2",
        Syntax::Proto3 => "proto3",
    };
    out.line(&["syntax = \"", syntax, "\";"])?;
    if !file.package_name().is_empty() {
        out.blank()?;
        out.line(&["package ", writer::full_name(file.package_name())?, ";"])?;
    }
    for (at, import) in proto.dependency.iter().enumerate() {
        if at == 0 {
            out.blank()?;
        }
        let among = |list: &[i32]| list.iter().any(|listed| usize::try_from(*listed) == Ok(at));
        let how = match (among(&proto.public_dependency), among(&proto.weak_dependency)) {
            (true, _) => "public ",
            (_, true) => "weak ",
            _ => "",
        };
        out.line(&["import ", how, "\"", &path(import)?, "\";"])?;
    }
    if proto.options.is_some() {
        out.blank()?;
        out.options(file.name(), &file.options())?;
    }
    for service in file.services() {
        out.blank()?;
        print_service(&mut out, &service)?;
    }
    scope::file(&mut out, file)?;
    Ok(out.finish())
}

fn print_service(out: &mut Writer, service: &ServiceDescriptor) -> Result<(), PrintError> {
    out.open(&["service ", writer::name(service.name())?])?;
    if service.service_descriptor_proto().options.is_some() {
        out.options(service.full_name(), &service.options())?;
    }
    for method in service.methods() {
        print_method(out, &method)?;
    }
    out.close()
}

fn print_method(out: &mut Writer, method: &MethodDescriptor) -> Result<(), PrintError> {
    let stream = |streams: bool| if streams { "stream ." } else { "." };
    let (input, output) = (method.input(), method.output());
    let head = [
        "rpc ",
        writer::name(method.name())?,
        "(",
        stream(method.is_client_streaming()),
        writer::full_name(input.full_name())?,
        ") returns (",
        stream(method.is_server_streaming()),
        writer::full_name(output.full_name())?,
        ")",
    ];
    if method.method_descriptor_proto().options.is_none() {
        let mut head = head.to_vec();
        head.push(";");
        return out.line(&head);
    }
    out.open(&head)?;
    out.options(method.full_name(), &method.options())?;
    out.close()
}
