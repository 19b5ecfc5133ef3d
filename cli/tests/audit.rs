//! The auditor's commands, seen from outside the program, over the ledgers of a small network.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by a panic")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use jisr_tests::{Question, World};
use serde_json::Value;

/// A purpose that would be a formula in a spreadsheet, and one that would be a program in a page.
const FORMULA: &str = "=HYPERLINK(\"x\",1)";
const SCRIPT: &str = "<script>alert('قضية')</script>";

fn jisr(dir: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_jisr"))
        .args(arguments)
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

/// A network that has exchanged a little and stands still.
struct Still {
    world: World,
    mol: PathBuf,
    psd: PathBuf,
}

impl Still {
    async fn new() -> Still {
        let mut world = World::of_two().await;
        for person in ["9901234567", "9901234568"] {
            world.caller().ask("Read", &Question::about(person)).await.unwrap();
        }
        world
            .caller()
            .ask("Write", &Question::about("9901234567"))
            .await
            .unwrap();
        for purpose in [FORMULA, SCRIPT] {
            let asked = world.caller().with("jisr-purpose", purpose);
            asked.ask("Read", &Question::about("1")).await.unwrap_err();
        }
        world.stop_node("mol").await;
        world.stop_node("psd").await;
        std::fs::write(world.dir.path().join("anchor"), world.anchor().to_string()).unwrap();
        let ledger = |code: &str| world.party(code).dir.join("ledger");
        let (mol, psd) = (ledger("mol"), ledger("psd"));
        Still { world, mol, psd }
    }

    /// `jisr audit WHAT` on mol's ledger.
    fn audit(&self, what: &str, more: &[&str]) -> Output {
        let mol = self.mol.to_str().unwrap();
        let line: Vec<&str> = ["audit", what, mol, "--anchor", "anchor"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        jisr(self.world.dir.path(), &line)
    }

    /// The objects of JSON Lines.
    fn objects(&self, what: &str, more: &[&str]) -> Vec<Value> {
        let output = self.audit(what, more);
        assert_eq!(code(&output), 0, "{}", said(&output));
        let text = printed(&output);
        text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_auditor_looks_through_a_ledger() {
    let still = Still::new().await;
    listing(&still);
    exporting(&still);
    sampling(&still);
    reporting(&still);
    comparing(&still);
    refusing(&still);
}

fn listing(still: &Still) {
    let list = still.audit("list", &[]);
    let text = printed(&list);
    assert_eq!(code(&list), 0, "{}", said(&list));
    assert!(text.starts_with("VALID: "), "{text}");
    assert_eq!(text.lines().count(), 6, "{text}");
    let filtered = |more: &[&str]| still.objects("list", &[&["--json"], more].concat()).len();
    assert_eq!(filtered(&["--outcome", "delivered"]), 3);
    assert_eq!(filtered(&["--outcome", "refused", "--purpose", SCRIPT]), 1);
    assert_eq!(
        filtered(&["--method", "Read", "--peer", "JO/GOV/psd", "--outcome", "delivered"]),
        2
    );
    assert_eq!(filtered(&["--peer", "JO/GOV/none"]), 0);
    assert_eq!(
        filtered(&["--from", "2020-01-01T00:00:00Z", "--until", "2020-01-02T00:00:00Z"]),
        0
    );
    let data = still.world.party("mol").dir.clone();
    let data = data.to_str().unwrap();
    assert_eq!(
        filtered(&["--data", data, "--subject", "9901234567", "--outcome", "delivered"]),
        2
    );
    assert_eq!(
        filtered(&["--data", data, "--case", "ق-1234/2026", "--outcome", "delivered"]),
        3
    );
    let count = still.audit("count", &["--by", "method", "--outcome", "delivered", "--json"]);
    let counted: Value = serde_json::from_str(&printed(&count)).unwrap();
    assert_eq!(counted["total"], 3);
    assert_eq!(
        counted["rows"][0],
        serde_json::json!({ "value": "jisr.tests.v1.Probe/Read", "count": 2 })
    );
}

fn exporting(still: &Still) {
    let objects = still.objects("export", &["--jsonl"]);
    assert_eq!(objects.len(), 5);
    assert!(
        objects.iter().all(|object| object["case"].is_null()),
        "sealed without keys"
    );
    assert!(objects.iter().any(|object| object["purpose"] == SCRIPT), "{objects:?}");
    let csv = still.audit("export", &["--csv"]);
    let csv = printed(&csv);
    assert!(csv.starts_with("exchange,role,peer,") && csv.ends_with("\r\n"), "{csv}");
    assert!(csv.contains("\"'=HYPERLINK(\"\"x\"\",1)\""), "{csv}");
    assert!(csv.contains("قضية"), "{csv}");
    assert_eq!(code(&still.audit("export", &["--csv", "--out", "mol.csv"])), 0);
    assert_eq!(
        std::fs::read_to_string(still.world.dir.path().join("mol.csv")).unwrap(),
        csv
    );
    assert_eq!(
        code(&still.audit("export", &["--csv", "--out", "mol.csv"])),
        64,
        "nothing is replaced"
    );
}

fn sampling(still: &Still) {
    let draw = |seed: &str| still.objects("sample", &["-n", "3", "--seed", seed, "--json"]);
    assert_eq!(draw("dice"), draw("dice"));
    assert_eq!(draw("dice").len(), 3);
    let others = ["a", "b", "c", "d"].iter().any(|seed| draw(seed) != draw("dice"));
    assert!(others, "every seed draws the same");
}

fn reporting(still: &Still) {
    let written = still.audit("report", &["--html", "mol.html"]);
    assert_eq!(code(&written), 0, "{}", said(&written));
    let html = std::fs::read_to_string(still.world.dir.path().join("mol.html")).unwrap();
    assert!(html.contains("dir=\"rtl\"") && html.contains("lang=\"en\""));
    assert!(
        !html.contains("<script") && html.contains("&lt;script&gt;alert"),
        "{html}"
    );
    assert_eq!(code(&still.audit("report", &["--html", "again.html"])), 0);
    let again = std::fs::read_to_string(still.world.dir.path().join("again.html")).unwrap();
    assert_eq!(html, again, "the same ledger gives the same page");
}

fn comparing(still: &Still) {
    let (mol, psd) = (still.mol.to_str().unwrap(), still.psd.to_str().unwrap());
    let compare = |a: &str, b: &str, more: &[&str]| {
        let line: Vec<&str> = ["ledger", "compare", a, b, "--anchor", "anchor"]
            .iter()
            .chain(more)
            .copied()
            .collect();
        jisr(still.world.dir.path(), &line)
    };
    let same = compare(mol, psd, &[]);
    let text = printed(&same);
    assert_eq!(code(&same), 0, "{text}{}", said(&same));
    assert!(
        text.starts_with("SAME\n") && text.contains("A asked B: 3 exchanges: 3 agree"),
        "{text}"
    );
    let object: Value = serde_json::from_str(&printed(&compare(psd, mol, &["--json"]))).unwrap();
    assert_eq!(
        (&object["outcome"], &object["asked"][1]["agreed"]),
        (&Value::from("SAME"), &Value::from(3))
    );
    // Without its last frames, psd's directory is an older copy, or its end was removed.
    let short = still.world.dir.path().join("short");
    shortened(&still.psd, &short);
    let short = short.to_str().unwrap();
    let lacking = compare(mol, short, &[]);
    assert_eq!(code(&lacking), 2, "{}", printed(&lacking));
    assert!(
        printed(&lacking).contains("LEDGER_SHORTER in B"),
        "{}",
        printed(&lacking)
    );
    assert_eq!(code(&compare(mol, short, &["--apart", "1h"])), 0);
    // What is broken is not compared.
    let broken = still.world.dir.path().join("broken");
    let segment = "segments/00000000000000000000.seg";
    std::fs::create_dir_all(broken.join("segments")).unwrap();
    let mut bytes = std::fs::read(still.psd.join(segment)).unwrap();
    bytes[300] ^= 1;
    std::fs::write(broken.join(segment), bytes).unwrap();
    let invalid = compare(mol, broken.to_str().unwrap(), &["--json"]);
    let object: Value = serde_json::from_str(&printed(&invalid)).unwrap();
    assert_eq!((code(&invalid), &object["outcome"]), (1, &Value::from("INVALID")));
}

/// A copy that ends before the last exchange was answered.
fn shortened(ledger: &Path, to: &Path) {
    use jisr_ledger::frame::{Next, SegmentScan};
    let name = "segments/00000000000000000000.seg";
    let bytes = std::fs::read(ledger.join(name)).unwrap();
    let mut scan = SegmentScan::open(bytes.as_slice()).unwrap();
    let mut ends = vec![usize::try_from(scan.offset()).unwrap()];
    while let Next::Frame { .. } = scan.read_next().unwrap() {
        ends.push(usize::try_from(scan.offset()).unwrap());
    }
    std::fs::create_dir_all(to.join("segments")).unwrap();
    std::fs::write(to.join(name), &bytes[..ends[ends.len() / 2]]).unwrap();
}

fn refusing(still: &Still) {
    let case = still.audit("list", &["--case", "x"]);
    assert_eq!(code(&case), 64, "without keys: {}", said(&case));
    assert_eq!(code(&still.audit("list", &["--data", "."])), 66, "no keys are there");
    assert_eq!(code(&still.audit("list", &["--outcome", "won"])), 64);
    assert_eq!(code(&still.audit("export", &[])), 64, "neither form");
    assert_eq!(code(&still.audit("sample", &["-n", "0", "--seed", "x"])), 64);
    let dir = still.world.dir.path();
    assert_eq!(code(&jisr(dir, &["audit", "list", "none", "--anchor", "anchor"])), 66);
    assert_eq!(
        code(&jisr(dir, &["audit", "list", still.mol.to_str().unwrap()])),
        64,
        "an anchor or --no-verify"
    );
    let broken = dir.join("broken");
    let broken = broken.to_str().unwrap();
    assert_eq!(code(&jisr(dir, &["audit", "count", broken, "--anchor", "anchor"])), 1);
    let report = jisr(
        dir,
        &["audit", "report", broken, "--anchor", "anchor", "--html", "broken.html"],
    );
    assert_eq!(code(&report), 1, "{}", said(&report));
    let html = std::fs::read_to_string(dir.join("broken.html")).unwrap();
    assert!(html.contains("class=\"word INVALID\""));
}

/// A network that has exchanged a little, whose node psd has a mirror that holds all of it; everything stands still.
async fn mirrored() -> World {
    let mut world = World::of_two().await;
    let (mirror, secret) = (world.dir.path().join("mirror"), world.dir.path().join("secret"));
    let made = jisr(
        world.dir.path(),
        &["node", "mirror-secret", "--out", secret.to_str().unwrap()],
    );
    assert_eq!(code(&made), 0, "{}", said(&made));
    world.stop_node("psd").await;
    let places = format!(
        "[[mirror]]\nurl = \"file://{}\"\nsecret_file = \"{}\"\ninterval_ms = 20\n\n[ledger]\n",
        mirror.display(),
        secret.display()
    );
    world.reconfigure("psd", "[ledger]\n", &places);
    world.start_node("psd").await;
    for person in ["9901234567", "9901234568"] {
        let asked = world.caller().with("jisr-case", "ق-1");
        asked.ask("Write", &Question::about(person)).await.unwrap();
    }
    // A node that stops brings its mirrors to its end.
    world.stop_node("psd").await;
    std::fs::write(world.dir.path().join("anchor"), world.anchor().to_string()).unwrap();
    world
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_mirror_tells_with_its_secret_what_the_node_tells() {
    let world = mirrored().await;
    let dir = world.dir.path();
    let live = world.party("psd").dir.to_str().unwrap().to_owned();
    let tells = |arguments: &[&str]| {
        let told = jisr(dir, arguments);
        // 2: the exchanges were not closed by both sides yet when the nodes stopped.
        let ends = [0, 2].contains(&code(&told));
        assert!(ends, "{arguments:?}: {}{}", printed(&told), said(&told));
        printed(&told)
    };
    let ledgers = [format!("{live}/ledger"), "mirror/ledger".to_owned()];
    let [one, other] = ledgers.each_ref().map(|ledger| {
        let keys: &[&str] = match ledger.starts_with("mirror") {
            true => &["--data", "mirror", "--secret-file", "secret"],
            false => &["--data", &live],
        };
        let with = |first: &[&str], last: &[&str]| tells(&[first, keys, last].concat());
        let audit = |what| ["audit", what, ledger, "--anchor", "anchor"];
        let name = if ledger.starts_with("mirror") {
            "mirrored.jisr"
        } else {
            "live.jisr"
        };
        let export = [
            "evidence",
            "export",
            "--subject",
            "personal-number=9901234567",
            "--case",
            "ق-1",
            "--schema",
        ];
        with(&[&export[..], &["--ledger", ledger, "--out", name]].concat(), &[]);
        [
            tells(&["ledger", "verify", ledger, "--anchor", "anchor", "--json"]),
            with(&audit("list"), &["--subject", "9901234567", "--case", "ق-1"]),
            with(&audit("count"), &["--by", "outcome"]),
            with(&audit("sample"), &["-n", "1", "--seed", "dice"]),
            with(&audit("export"), &["--jsonl"]),
            tells(&["evidence", "verify", name, "--anchor", "anchor"]),
            tells(&["evidence", "show", name]),
        ]
    });
    for (one, other) in one.iter().zip(&other) {
        // Files are of the time at which they were made.
        let plain = |text: &str| {
            text.lines()
                .filter(|line| !line.contains("made"))
                .collect::<Vec<_>>()
                .join("\n")
        };
        assert_eq!(plain(one), plain(other));
    }
    assert!(one[4].contains("\"case\":\"ق-1\""), "{}", one[4]);
    let same = jisr(
        dir,
        &[
            "ledger",
            "compare",
            "mirror/ledger",
            world.party("mol").dir.join("ledger").to_str().unwrap(),
            "--anchor",
            "anchor",
        ],
    );
    assert!([0, 2].contains(&code(&same)), "{}{}", printed(&same), said(&same));

    // Without the secret nothing personal opens, and with another nothing at all.
    tells(&["node", "mirror-secret", "--out", "other"]);
    let audit = [
        "audit",
        "list",
        "mirror/ledger",
        "--anchor",
        "anchor",
        "--data",
        "mirror",
    ];
    let none = jisr(dir, &audit);
    assert_eq!(code(&none), 66);
    assert!(said(&none).contains("--secret-file"), "{}", said(&none));
    let wrong = jisr(dir, &[&audit[..], &["--secret-file", "other"]].concat());
    assert_eq!(code(&wrong), 66, "{}", said(&wrong));
    world.end().await;
}
