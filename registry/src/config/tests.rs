//! Files that are right, and the words for those that are not.

use super::*;

const SAMPLE: &str = r#"instance = "JO"
epoch = "2026"
data = "registry"
listen = "127.0.0.1:0"
names = ["localhost", "127.0.0.1"]

[snapshot]
lifetime_s = 3600
refresh_s = 10
"#;

fn refusal(text: &str) -> String {
    Config::parse(text).expect_err("must be refused").to_string()
}

#[test]
fn reads_a_file() {
    let config = Config::parse(SAMPLE).unwrap();
    assert_eq!(config.snapshot_lifetime, Duration::from_secs(3600));
    assert_eq!(config.origin().to_string(), "jisr/JO/registry/2026");
}

#[test]
fn names_key_and_line() {
    assert!(refusal(&SAMPLE.replace("\"JO\"", "\"jo\"")).contains("key `instance`, line 1"));
    assert!(refusal(&SAMPLE.replace("\"2026\"", "\"last\"")).contains("key `epoch`, line 2"));
    assert!(refusal(&SAMPLE.replace("127.0.0.1:0", "nowhere")).contains("key `listen`, line 4"));
    assert!(refusal(&SAMPLE.replace("= 10", "= 3600")).contains("key `snapshot.refresh_s`, line 9"));
    assert!(refusal(&SAMPLE.replace("= 10", "= 0")).contains("line 9: 0 is not from 1"));
}

#[test]
fn refuses_unknown_keys_and_missing_names() {
    let unknown = refusal(&format!("{SAMPLE}\nsurprise = 1\n"));
    assert!(unknown.contains("surprise"), "{unknown}");
    assert!(refusal(&SAMPLE.replace(r#""localhost", "127.0.0.1""#, "")).contains("key `names`, line 5"));
}
