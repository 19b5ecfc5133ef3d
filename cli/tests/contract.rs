//! What scripts and auditors rely on: exit codes, first lines, and objects, seen from outside the program.

#![expect(clippy::unwrap_used, reason = "a test fails by a panic")]

use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;
use tempfile::TempDir;

/// Runs `jisr` in `dir` with arguments separated by spaces.
fn jisr(dir: &Path, line: &str) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jisr"))
        .args(line.split_whitespace())
        .current_dir(dir)
        .output()
        .unwrap()
}

fn code(output: &Output) -> i32 {
    output.status.code().unwrap()
}

fn printed(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// A directory with a new registry in `reg`.
fn registry() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    for name in ["huda", "samir"] {
        let new = jisr(
            dir.path(),
            &format!("registry administrator new {name} --instance JO --out {name}"),
        );
        assert_eq!(
            (code(&new), printed(&new)),
            (0, format!("{name}/request.csr\n")),
            "{}",
            said(&new)
        );
    }
    let who = |name: &str| format!("--administrator {name}=admit,certify,publish:{name}/request.csr");
    let place = "registry init --dir reg --instance JO --listen 127.0.0.1:0 --public localhost:7300";
    let alone = jisr(dir.path(), &format!("{place} {}", who("huda")));
    assert_eq!(code(&alone), 64, "{}", said(&alone));
    assert!(said(&alone).contains("2 or more are needed"), "{}", said(&alone));
    let init = format!("{place} {} {}", who("huda"), who("samir"));
    let made = jisr(dir.path(), &init);
    assert_eq!(code(&made), 0, "{}", said(&made));
    assert_eq!(printed(&made), "reg/anchor\n");
    assert_eq!(code(&jisr(dir.path(), &init)), 64, "a registry is never replaced");
    dir
}

/// A registry that runs; ends with the test.
struct Running(Child);

impl Running {
    fn start(dir: &Path) -> Running {
        Running::start_logging_to(dir, Stdio::null())
    }

    fn start_logging_to(dir: &Path, log: Stdio) -> Running {
        let mut command = Command::new(env!("CARGO_BIN_EXE_jisr"));
        let command = command.args(["registry", "run", "--dir", "reg"]).current_dir(dir);
        let running = Running(command.stdout(Stdio::null()).stderr(log).spawn().unwrap());
        let deadline = Instant::now() + Duration::from_secs(20);
        while code(&jisr(dir, "registry status --dir reg")) != 0 {
            assert!(Instant::now() < deadline, "the registry does not answer");
            std::thread::yield_now();
        }
        running
    }

    fn stop(mut self) -> i32 {
        let id = Pid::from_raw(i32::try_from(self.0.id()).unwrap()).unwrap();
        kill_process(id, Signal::TERM).unwrap();
        self.0.wait().unwrap().code().unwrap()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ended = self.0.kill();
        let _reaped = self.0.wait();
    }
}

#[test]
fn usage_is_64_and_help_is_0() {
    let dir = tempfile::tempdir().unwrap();
    for line in [
        "",
        "nothing",
        "evidence verify",
        "ledger verify d",
        "registry init",
        "call nonsense --address h:1",
    ] {
        assert_eq!(code(&jisr(dir.path(), line)), 64, "{line}");
    }
    for line in ["--help", "--version", "evidence verify --help", "node agree propose -h"] {
        assert_eq!(code(&jisr(dir.path(), line)), 0, "{line}");
    }
}

#[test]
fn every_command_says_its_exit_codes() {
    let dir = tempfile::tempdir().unwrap();
    let commands = [
        "registry init",
        "registry run",
        "registry admit",
        "registry approve",
        "registry token",
        "registry revoke",
        "registry status",
        "registry anchor",
        "node init",
        "node enrol",
        "node run",
        "node publish",
        "node status",
        "node agree propose",
        "node agree list",
        "node agree accept",
        "node agree revoke",
        "node client add",
        "node officer add",
        "call",
        "evidence export",
        "evidence verify",
        "evidence show",
        "ledger verify",
        "ledger compare",
        "audit list",
        "audit count",
        "audit sample",
        "audit export",
        "audit report",
    ];
    for command in commands {
        let help = printed(&jisr(dir.path(), &format!("{command} --help")));
        assert!(help.contains("Exit codes: 0"), "{command}");
        assert!(help.contains("Example") || command == "registry status", "{command}");
    }
}

#[test]
fn what_cannot_be_read_is_66_and_what_is_no_evidence_is_invalid() {
    let dir = registry();
    let verify = |line: &str| jisr(dir.path(), line);
    assert_eq!(code(&verify("evidence verify none --anchor reg/anchor")), 66);
    assert_eq!(code(&verify("ledger verify none --anchor reg/anchor")), 66);
    assert_eq!(
        code(&verify(
            "ledger verify reg/ledger --anchor reg/anchor --checkpoint none"
        )),
        66
    );
    std::fs::write(dir.path().join("empty"), "").unwrap();
    std::fs::create_dir(dir.path().join("bare")).unwrap();
    assert_eq!(code(&verify("evidence verify reg/registry.toml --anchor empty")), 66);
    for line in [
        "evidence verify empty",
        "evidence verify reg/registry.toml",
        "ledger verify bare",
    ] {
        let invalid = verify(&format!("{line} --anchor reg/anchor"));
        assert_eq!(code(&invalid), 1, "{line}");
        assert_eq!(printed(&invalid).lines().next(), Some("INVALID"), "{line}");
        let object = verify(&format!("{line} --anchor reg/anchor --json"));
        let object: Value = serde_json::from_slice(&object.stdout).unwrap();
        assert_eq!(object["verdict"], "INVALID", "{line}");
        assert!(
            object["checks"]
                .as_array()
                .unwrap()
                .iter()
                .all(|check| check["id"].is_string()),
            "{line}"
        );
    }
    assert_eq!(
        code(&verify("evidence verify empty --anchor reg/anchor --time yesterday")),
        64
    );
}

#[test]
fn a_ledger_verifies_live_and_at_rest_and_a_flipped_byte_is_found() {
    let dir = registry();
    let verify = || jisr(dir.path(), "ledger verify reg/ledger --anchor reg/anchor --json");
    assert_eq!(code(&verify()), 66, "a ledger begins with the first start");
    let running = Running::start(dir.path());
    assert_eq!(code(&verify()), 0, "live");
    assert_eq!(running.stop(), 0);
    let valid = verify();
    assert_eq!(code(&valid), 0, "closed");
    let object: Value = serde_json::from_slice(&valid.stdout).unwrap();
    assert!(object["origin"].as_str().unwrap().starts_with("jisr/JO/registry/"));
    assert!(object["size"].as_u64().unwrap() >= 2 && object["root"].is_string());
    let segment = dir.path().join("reg/ledger/segments").join(format!("{:020}.seg", 0));
    let mut bytes = std::fs::read(&segment).unwrap();
    bytes[200] ^= 1;
    std::fs::write(&segment, bytes).unwrap();
    assert_eq!(code(&verify()), 1);
}

/// Where nothing can be written, as on a disk without room.
fn full() -> Stdio {
    std::fs::OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

#[test]
fn a_log_that_cannot_be_written_costs_log_lines_only() {
    let dir = registry();
    let running = Running::start_logging_to(dir.path(), full());
    let admit = "registry admit JO/GOV/mol --dir reg --name-ar العمل --name-en Labour --administrator huda";
    assert_eq!(code(&jisr(dir.path(), admit)), 0);
    assert_eq!(running.stop(), 0);

    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let running = Running::start_logging_to(dir.path(), writer.into());
    assert_eq!(running.stop(), 0, "nor does a log whose reader is gone");
}

#[test]
fn a_verdict_that_cannot_be_written_is_a_fault() {
    let dir = registry();
    assert_eq!(Running::start(dir.path()).stop(), 0);
    for line in ["ledger verify reg/ledger", "evidence verify reg/anchor"] {
        for form in ["", " --json"] {
            let line = format!("{line} --anchor reg/anchor{form}");
            let mut command = Command::new(env!("CARGO_BIN_EXE_jisr"));
            let command = command.args(line.split_whitespace()).current_dir(dir.path());
            let lost = command.stdout(full()).stderr(Stdio::piped()).output().unwrap();
            assert_eq!(code(&lost), 70, "{line}");
            assert!(said(&lost).contains("cannot write the result"), "{}", said(&lost));
        }
    }
}

#[test]
fn a_reader_who_leaves_early_is_no_fault() {
    let dir = registry();
    assert_eq!(Running::start(dir.path()).stop(), 0);
    let lines = [
        ("ledger verify reg/ledger", 0),
        ("evidence verify reg/anchor", 1),
        ("audit count reg/ledger", 0),
        ("audit list reg/ledger", 0),
    ];
    for (line, expected) in lines {
        for form in ["", " --json"] {
            let line = format!("{line} --anchor reg/anchor{form}");
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            let mut command = Command::new(env!("CARGO_BIN_EXE_jisr"));
            let command = command.args(line.split_whitespace()).current_dir(dir.path());
            let left = command.stdout(writer).stderr(Stdio::piped()).output().unwrap();
            assert_eq!(code(&left), expected, "{line}: {}", said(&left));
            assert!(!said(&left).contains("cannot write"), "{line}: {}", said(&left));
        }
    }
}

#[test]
fn what_is_no_checkpoint_is_an_unusable_argument() {
    let dir = registry();
    for file in ["/dev/null", "reg/anchor"] {
        let verify = format!("ledger verify reg/ledger --anchor reg/anchor --checkpoint {file}");
        let refused = jisr(dir.path(), &verify);
        assert_eq!(code(&refused), 66, "{file}");
        assert!(
            said(&refused).contains(&format!("cannot use {file}")),
            "{}",
            said(&refused)
        );
    }
}

#[test]
fn members_come_in_by_four_eyes_and_tokens_stand_alone_on_a_line() {
    let dir = registry();
    let not_running = jisr(dir.path(), "registry status --dir reg");
    assert_eq!(code(&not_running), 1);
    assert!(
        said(&not_running).contains("jisr registry run --dir reg"),
        "{}",
        said(&not_running)
    );
    let running = Running::start(dir.path());
    let ask = |line: &str| jisr(dir.path(), line);
    let admit = "registry admit JO/GOV/mol --dir reg --name-ar العمل --name-en Labour --administrator huda";
    let act = printed(&ask(admit));
    assert_eq!(act.trim().len(), 64);
    let waiting = printed(&ask("registry acts --dir reg"));
    assert!(
        waiting.contains(act.trim()) && waiting.contains("admits JO/GOV/mol العمل · Labour"),
        "{waiting}"
    );
    let alone = ask(&format!(
        "registry approve {} --dir reg --administrator huda",
        act.trim()
    ));
    assert_eq!(code(&alone), 1);
    for part in ["FOUR_EYES", "party:", "rule:", "remedy:"] {
        assert!(said(&alone).contains(part), "{}", said(&alone));
    }
    let short = act.get(..8).unwrap();
    let approved = ask(&format!("registry approve {short} --dir reg --administrator samir"));
    assert_eq!(code(&approved), 0, "{}", said(&approved));
    assert!(said(&approved).contains("admits JO/GOV/mol"), "what is signed is shown");
    assert_eq!(printed(&ask("registry acts --dir reg")), "");
    std::fs::write(
        dir.path().join("members.csv"),
        "member,name_ar,name_en\nJO/GOV/psd,الأمن,PSD\nJO/GOV/moh,Health,Health\n",
    )
    .unwrap();
    let wrong = ask("registry admit --csv members.csv --dir reg --administrator huda");
    assert_eq!(code(&wrong), 66);
    assert!(
        said(&wrong).contains("line 3: Arabic name of JO/GOV/moh"),
        "{}",
        said(&wrong)
    );
    assert_eq!(
        code(&ask(
            "registry reject 00000000 --dir reg --administrator huda --reason no"
        )),
        1
    );
    assert_eq!(code(&ask("registry administrator list --dir reg")), 0);
    let token = ask("registry token JO/GOV/mol/node/node1 --dir reg --administrator huda --lifetime 1h");
    assert_eq!(printed(&token).lines().count(), 1);
    assert!(printed(&token).starts_with("jisr1-"));
    let status = ask("registry status --dir reg --json");
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert!(status["members"][0].as_str().unwrap().contains("JO/GOV/mol"));
    assert_eq!(running.stop(), 0);
}

#[test]
fn a_node_makes_credentials_of_its_own_member_only() {
    let dir = tempfile::tempdir().unwrap();
    let ask = |line: &str| jisr(dir.path(), line);
    let made =
        ask("node init --dir mol --node JO/GOV/mol/node/node1 --registry localhost:7300 --public localhost:7400");
    assert_eq!(code(&made), 0, "{}", said(&made));
    assert_eq!(
        code(&ask("node client add JO/GOV/mol/permits --dir mol --out permits")),
        0
    );
    assert_eq!(
        code(&ask("node client add JO/GOV/mol/permits --dir mol --out permits")),
        64,
        "keys are never replaced"
    );
    let foreign = ask("node client add JO/GOV/psd/residency --dir mol --out psd");
    assert_eq!(code(&foreign), 64, "{}", said(&foreign));
    assert_eq!(code(&ask("node officer add rania --dir mol --out rania")), 0);
    let chain = std::fs::read_to_string(dir.path().join("rania/cert.pem")).unwrap();
    assert_eq!(
        chain.matches("BEGIN CERTIFICATE").count(),
        2,
        "the officer's certificate, then the local CA's"
    );
    assert_eq!(code(&ask("node officer add Rania! --dir mol --out other")), 64);
    assert_eq!(code(&ask("node run --dir nowhere")), 66);
    assert_eq!(code(&ask("node enrol jisr1-AAAA --dir mol")), 64);
    std::fs::write(dir.path().join("token"), "jisr1-AAAA\n").unwrap();
    let from_argument = ask("node enrol jisr1-AAAA --dir mol");
    let from_file = ask("node enrol @token --dir mol");
    assert_eq!((code(&from_file), said(&from_file)), (64, said(&from_argument)));
    assert_eq!(code(&ask("node enrol @none --dir mol")), 66);
    let mut command = Command::new(env!("CARGO_BIN_EXE_jisr"));
    let command = command
        .args(["node", "enrol", "-", "--dir", "mol"])
        .current_dir(dir.path());
    let token = std::fs::File::open(dir.path().join("token")).unwrap();
    let from_stdin = command.stdin(token).output().unwrap();
    assert_eq!((code(&from_stdin), said(&from_stdin)), (64, said(&from_argument)));
    assert_eq!(code(&ask("node status --dir mol")), 1);
    assert_eq!(code(&ask("node run --dir mol")), 70, "not enrolled");
}
