//! The messages of the probe service, and its schema.

use bytes::Bytes;
use prost::Message as _;
use protox::file::{ChainFileResolver, File, FileResolver, GoogleFileResolver, IncludeFileResolver};

/// `jisr.tests.v1.Question`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Question {
    /// Names a person.
    #[prost(string, tag = "1")]
    pub personal_number: String,
    /// Makes the message as large as the story wants.
    #[prost(bytes = "bytes", tag = "2")]
    pub filling: Bytes,
}

/// `jisr.tests.v1.Reply`.
#[derive(Clone, PartialEq, Eq, prost::Message)]
pub struct Reply {
    /// What the backend says.
    #[prost(string, tag = "1")]
    pub text: String,
    /// Makes the message as large as the story wants.
    #[prost(bytes = "bytes", tag = "2")]
    pub filling: Bytes,
}

impl Question {
    /// A question about this person.
    #[must_use]
    pub fn about(personal_number: &str) -> Question {
        Question {
            personal_number: personal_number.to_owned(),
            filling: Bytes::new(),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn bytes(&self) -> Bytes {
        self.encode_to_vec().into()
    }
}

/// The FileDescriptorSet of the probe service, as its publisher would make it.
#[must_use]
pub fn probe_schema() -> Bytes {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut compiler =
        protox::Compiler::new([root.join("proto"), root.join("../proto/proto")]).expect("the folders exist");
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file("probe.proto").expect("the file compiles");
    compiler.encode_file_descriptor_set().into()
}

/// The same where its file says `to` instead of `from`.
#[must_use]
pub fn probe_schema_with(from: &str, to: &str) -> Bytes {
    let text = include_str!("../proto/probe.proto");
    assert!(text.contains(from), "the probe says {from}");
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut resolver = ChainFileResolver::new();
    resolver.add(Changed(text.replacen(from, to, 1)));
    resolver.add(IncludeFileResolver::new(root.join("../proto/proto")));
    resolver.add(GoogleFileResolver::new());
    let mut compiler = protox::Compiler::with_file_resolver(resolver);
    compiler.include_imports(true).include_source_info(false);
    compiler.open_file("probe.proto").expect("the changed file compiles");
    compiler.encode_file_descriptor_set().into()
}

struct Changed(String);

impl FileResolver for Changed {
    fn open_file(&self, name: &str) -> Result<File, protox::Error> {
        if name == "probe.proto" {
            File::from_source(name, &self.0)
        } else {
            Err(protox::Error::file_not_found(name))
        }
    }
}
