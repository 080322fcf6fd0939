//! Invoices and notes as files, read by programs that no one here wrote: poppler's and qpdf.

use std::{path::Path, process::Command, time::Duration};

use api::{
    config::{BillingConfig, Config, SellerConfig},
    rebuild,
};
use serde_json::{Value, json};

use super::{
    Server,
    billing::{finalize, only_invoice},
    booking_saga::stopped,
    follow::open,
};
use crate::{
    client::bytes_of,
    fake_lake::{revised, trip, withdrawn},
    server::tariff,
};

const IBAN: &str = "DK5000400440116243";

/// A file that was given, and what came with it.
struct File {
    status: u16,
    head: String,
    bytes: Vec<u8>,
}

impl File {
    fn header(&self, name: &str) -> Option<&str> {
        let mut lines = self.head.lines().filter_map(|line| line.split_once(": "));
        lines.find(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, value)| value)
    }

    /// Its text, as one that reads it page by page sees it.
    fn text(&self) -> String {
        self.read("pdftotext", &["-layout"], &["-"])
    }

    /// Its text with every run of spaces as one.
    fn words(&self) -> String {
        self.text().split_whitespace().collect::<Vec<_>>().join(" ")
    }

    fn info(&self, options: &[&str]) -> String {
        self.read("pdfinfo", options, &[])
    }

    fn pages(&self) -> usize {
        let info = self.info(&[]);
        let pages = info.lines().find_map(|line| line.strip_prefix("Pages:")).unwrap();
        pages.trim().parse().unwrap()
    }

    /// What a program says of it; it must have nothing against it.
    fn read(&self, program: &str, before: &[&str], after: &[&str]) -> String {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.pdf");
        std::fs::write(&path, &self.bytes).unwrap();
        said(program, before, &path, after)
    }
}

fn said(program: &str, before: &[&str], path: &Path, after: &[&str]) -> String {
    let done = Command::new(program).args(before).arg(path).args(after).output();
    let done = done.unwrap_or_else(|e| panic!("{program}: {e}; scripts/setup --tests installs it"));
    let (out, fault) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
    // Poppler takes the false that a tagged PDF has for its `Suspects` for a fault of it.
    let fault = fault.replace("Syntax Error: Suspects object is wrong type (boolean)", "");
    assert!(done.status.success() && fault.trim().is_empty(), "{program}: {out}{fault}");
    out.into_owned()
}

async fn file(server: &Server, path: &str, headers: &[(&str, &str)]) -> File {
    let bytes = bytes_of(server.handle.addr, &format!("GET {path}"), headers, b"").await;
    let end = bytes.windows(4).position(|w| w == b"\r\n\r\n").unwrap();
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let status = head.split(' ').nth(1).unwrap().parse().unwrap();
    File { status, head, bytes: bytes[end + 4..].to_vec() }
}

/// A PDF, which qpdf finds whole.
async fn pdf(server: &Server, path: &str) -> File {
    let found = file(server, path, &[]).await;
    assert_eq!(found.status, 200, "{}", String::from_utf8_lossy(&found.bytes));
    assert_eq!(found.header("content-type"), Some("application/pdf"));
    assert!(found.bytes.starts_with(b"%PDF-1.7"), "a PDF");
    assert_eq!(found.header("content-length").unwrap(), found.bytes.len().to_string());
    let checked = found.read("qpdf", &["--check"], &[]);
    assert!(checked.contains("No syntax or stream encoding errors found"), "{checked}");
    found
}

fn selling(config: Config) -> Config {
    let seller = SellerConfig {
        name: "Nordic Fleet A/S".to_owned(),
        address: vec!["Havnegade 12".to_owned(), "1058 København K".to_owned()],
        tax_id: Some("DK12345678".to_owned()),
        email: Some("billing@nordicfleet.example".to_owned()),
        iban: Some(IBAN.to_owned()),
        bic: Some("NDEADKKK".to_owned()),
        payment_text: Some("Or by card:\nask us.".to_owned()),
        footer: Some("CVR 12345678".to_owned()),
    };
    let public_url = Some("https://fleet.example/console/".to_owned());
    Config { billing: BillingConfig { public_url, font_files: Vec::new(), seller: Some(seller) }, ..config }
}

/// A server whose customer has a draft of 8.70 for one trip.
async fn used(change: impl FnOnce(Config) -> Config) -> (Server, Value) {
    let server = Server::start_with(change).await;
    server.customer("car-1").await;
    server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
    let invoice = only_invoice(&server, |i| i["subtotal_minor"] == 870).await;
    (server, invoice)
}

/// An organization that pays by these terms, and its car-1.
async fn customer(server: &Server, (name, currency): (&str, &str), terms: Value) {
    let new = json!({ "name": name, "currency": currency, "time_zone": "Europe/Copenhagen" });
    let organization = server.post("/v1/organizations", new).await.json();
    let tariff = server.post("/v1/tariffs", terms).await.json();
    let what = format!("PUT /v1/organizations/{}/tariff", organization["id"].as_str().unwrap());
    let choice = json!({ "tariff_id": tariff["id"] });
    assert_eq!(server.send(&what, &[], Some(&choice)).await.status, 200);
    let vehicle = json!({ "vehicle_id": "car-1", "organization_id": organization["id"] });
    assert_eq!(server.post("/v1/vehicles", vehicle).await.status, 201);
}

fn path_of(invoice: &Value, file: &str) -> String {
    format!("/v1/invoices/{}/{file}", invoice["id"].as_str().unwrap())
}

fn has(words: &str, wanted: &[&str]) {
    for text in wanted {
        assert!(words.contains(text), "{text:?} in {words}");
    }
}

async fn post(server: &Server, path: &str, body: Value) -> Value {
    let answer = server.send(&format!("POST {path}"), &[("idempotency-key", path)], Some(&body)).await;
    assert!((200..300).contains(&answer.status), "{path}: {}", answer.body);
    answer.json()
}

#[tokio::test]
async fn an_invoice_says_who_what_when_and_how_much() {
    let (server, invoice) = used(selling).await;
    let (_, done) = finalize(&server, &invoice, "k").await;
    assert_eq!((&done["total_minor"], &done["due_minor"]), (&json!(1_088), &json!(1_088)));
    let found = pdf(&server, &path_of(&invoice, "pdf")).await;
    assert_eq!(found.header("content-disposition"), Some("attachment; filename=\"RL-000001.pdf\""));
    let words = found.words();
    has(&words, &["Nordic Fleet A/S", "Havnegade 12", "1058 København K", "Tax id DK12345678"]);
    has(&words, &["billing@nordicfleet.example", "CVR 12345678", "Billed to", "Acme"]);
    has(&words, &["Number RL-000001", "Issued 23 November 2026", "Period 1 – 30 November 2026"]);
    // 14 days to pay, in Copenhagen.
    has(&words, &["Due 7 December 2026", "EUR 10.88 due by 7 December 2026", "Currency EUR"]);
    has(&words, &["Description Quantity Unit price Tax Amount (EUR)"]);
    has(&words, &["1 trip 1.00 25 % 1.00", "10 km 0.29 25 % 2.90"]);
    // Poppler takes the space of so narrow figures for none.
    has(&words.replace(' ', ""), &["1h4.8025%4.80"]);
    has(&words, &["Subtotal 8.70", "Tax 25 % of 8.70 2.18", "Total EUR 10.88", "Amount due EUR 10.88"]);
    has(&words, &["Please pay EUR 10.88 by 7 December 2026", "IBAN DK50 0040 0440 1162 43", "BIC NDEADKKK"]);
    has(&words, &["Reference RL-000001", "Or by card: ask us.", "Invoice RL-000001 · 1 of 1"]);
    let line = &invoice["lines"][1];
    let proof =
        format!("trp_a, revision 1 · tariff v1 · rows {}…", &line["row_hash"].as_str().unwrap()[..10]);
    has(&words, &[&proof, line["description"].as_str().unwrap()]);
    for gone in ["Draft", "Void", "Paid"] {
        assert!(!words.contains(gone), "{gone} in {words}");
    }
    let link = format!(
        "https://fleet.example/console/invoices/{}?line={}",
        invoice["id"].as_str().unwrap(),
        line["id"].as_str().unwrap()
    );
    has(&found.info(&["-url"]), &[&link]);
    let info = found.info(&["-isodates"]);
    has(
        &info,
        &["Invoice RL-000001, Nordic Fleet A/S", "2026-11-23T12:00:00Z", "Tagged:          yes", "A4"],
    );
    has(&found.info(&["-meta"]), &["pdfaid:part", "pdfaid:conformance"]);
}

#[tokio::test]
async fn without_a_seller_nobody_is_named_and_nothing_links() {
    let (server, invoice) = used(|config| config).await;
    finalize(&server, &invoice, "k").await;
    let found = pdf(&server, &path_of(&invoice, "pdf")).await;
    let words = found.words();
    has(&words, &["Invoice", "RL-000001", "Acme", "Amount due EUR 10.88"]);
    for gone in ["Please pay", "IBAN", "Roadlake", "Tax id"] {
        assert!(!words.contains(gone), "{gone} in {words}");
    }
    assert!(!found.info(&["-url"]).contains("http"));
}

#[tokio::test]
async fn the_same_invoice_is_the_same_bytes_also_after_a_rebuild() {
    let (server, invoice) = used(selling).await;
    finalize(&server, &invoice, "k").await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    server.lake.commit(vec![revised(&first, 12_000)]);
    let notes = server.until("/v1/credit-notes", |p| p["data"].get(0).is_some()).await;
    let note = format!("/v1/credit-notes/{}/pdf", notes["data"][0]["id"].as_str().unwrap());
    let paths = [path_of(&invoice, "pdf"), note];
    let mut before = Vec::new();
    for path in &paths {
        let one = pdf(&server, path).await;
        // Another day, with another invoice printed between.
        server.clock.advance(Duration::from_secs(86_400));
        let two = pdf(&server, path).await;
        assert!(one.bytes == two.bytes, "{path}: the same bytes");
        let tag = one.header("etag").unwrap().to_owned();
        assert_eq!(two.header("etag"), Some(tag.as_str()));
        let seen = file(&server, path, &[("if-none-match", &tag)]).await;
        assert_eq!((seen.status, seen.bytes.len()), (304, 0), "{path}");
        before.push(one);
    }
    assert_ne!(before[0].header("etag"), before[1].header("etag"));

    let place = stopped(server).await;
    let db = open(&place).await;
    rebuild(&db, &[]).await.unwrap();
    db.close().await;
    let server = Server::start_at(place, selling).await;
    for (path, before) in paths.iter().zip(&before) {
        let after = pdf(&server, path).await;
        assert!(after.bytes == before.bytes, "{path}: the same bytes after a rebuild");
        assert_eq!(after.header("etag"), before.header("etag"));
    }
    // What is paid is another document.
    post(&server, &path_of(&invoice, "mark-paid"), json!({ "reference": "bank" })).await;
    let paid = pdf(&server, &paths[0]).await;
    assert_ne!(paid.header("etag"), before[0].header("etag"));
    has(
        &paid.words(),
        &["Debit note DN-000001, 23 November 2026 0.73", "Paid −11.61", "Amount due EUR 0.00"],
    );
}

#[tokio::test]
async fn a_draft_a_paid_and_a_void_one_say_so() {
    let (server, invoice) = used(selling).await;
    let path = path_of(&invoice, "pdf");
    let draft = pdf(&server, &path).await;
    let name = draft.header("content-disposition").unwrap();
    assert_eq!(name, format!("attachment; filename=\"draft-{}.pdf\"", invoice["id"].as_str().unwrap()));
    let words = draft.words();
    has(&words, &["Draft invoice", "EUR 10.88 so far", "not to be paid", "Draft · Draft invoice · 1 of 1"]);
    for gone in ["RL-", "Please pay", "Amount due", "Issued", "IBAN"] {
        assert!(!words.contains(gone), "{gone} in {words}");
    }

    finalize(&server, &invoice, "k").await;
    post(&server, &path_of(&invoice, "void"), json!({ "reason": "wrong address" })).await;
    let void = pdf(&server, &path).await.words();
    has(
        &void,
        &["RL-000001", "Void since 23 November 2026: nothing of it is owed", "Made void: wrong address"],
    );
    has(&void, &["Void · Invoice RL-000001 · 1 of 1"]);
    for gone in ["Please pay", "Amount due"] {
        assert!(!void.contains(gone), "{gone} in {void}");
    }

    let again = server.json("/v1/invoices?status=draft").await["data"][0].clone();
    finalize(&server, &again, "k2").await;
    server.clock.advance(Duration::from_secs(86_400));
    post(&server, &path_of(&again, "mark-paid"), json!({ "reference": "bank" })).await;
    let paid = pdf(&server, &path_of(&again, "pdf")).await.words();
    has(&paid, &["RL-000002", "Paid on 24 November 2026", "Paid −10.88", "Amount due EUR 0.00"]);
    assert!(!paid.contains("Please pay"), "{paid}");
}

#[tokio::test]
async fn notes_say_what_they_correct_and_by_how_much() {
    let (server, invoice) = used(selling).await;
    finalize(&server, &invoice, "k").await;
    let first = trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0));
    let second = revised(&first, 12_000);
    server.lake.commit(vec![second.clone()]);
    server.until("/v1/credit-notes", |p| p["data"].get(0).is_some()).await;
    server.clock.advance(Duration::from_secs(1));
    server.lake.commit(vec![withdrawn(&second)]);
    let notes = server.until("/v1/credit-notes", |p| p["data"].get(1).is_some()).await;
    let path =
        |index: usize| format!("/v1/credit-notes/{}/pdf", notes["data"][index]["id"].as_str().unwrap());
    let debit = pdf(&server, &path(1)).await;
    assert_eq!(debit.header("content-disposition"), Some("attachment; filename=\"DN-000001.pdf\""));
    let words = debit.words();
    has(
        &words,
        &["Debit note", "Number DN-000001", "Corrects invoice RL-000001", "EUR 0.73 more than invoiced"],
    );
    has(&words, &["Trip trp_a, revision 1 to 2", "10 → 12 km 0.29 25 % 0.58", "2.90 was billed before"]);
    has(&words, &["Tax 25 % of 0.58 0.15", "Total EUR 0.73", "Acme", "Debit note DN-000001 · 1 of 1"]);
    let words = pdf(&server, &path(0)).await.words();
    has(&words, &["Credit note", "Number CN-000002", "EUR 11.60 less than invoiced", "Subtotal −9.28"]);
    has(&words, &["12 → 0 km", "−3.48", "Total EUR −11.60"]);
    let invoice = pdf(&server, &path_of(&invoice, "pdf")).await.words();
    has(&invoice, &["Debit note DN-000001, 23 November 2026 0.73"]);
    has(&invoice, &["Credit note CN-000002, 23 November 2026 −11.60", "Amount due EUR 0.01"]);
    assert_eq!(server.get("/v1/credit-notes/crn_none/pdf").await.status, 404);
    assert_eq!(server.get("/v1/invoices/inv_none/pdf").await.status, 404);
    assert_eq!(server.get("/v1/invoices/inv_none/csv").await.status, 404);
}

/// What people write is printed as it is, whatever it would mean to a typesetter.
#[tokio::test]
async fn what_people_wrote_stays_text() {
    let names = [
        "#import \"x\": * $a^2$ *b* _c_ @d <e> `f` \\ // g /* h */",
        "#{panic(\"x\")} #read(\"/etc/passwd\") [x] ~ -- ... 'q' \"q\"",
        "= Heading - item + item / Term: x https://a.example",
        "Ναυτιλία Жук & Сыновья ÆØÅ ß ł ğ",
    ];
    for name in names {
        let server = Server::start_with(|config| {
            let mut config = selling(config);
            if let Some(seller) = &mut config.billing.seller {
                seller.footer = Some(name.to_owned());
            }
            config
        })
        .await;
        customer(&server, (name, "EUR"), tariff()).await;
        server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (10_000, 3_600, 0))]);
        let invoice = only_invoice(&server, |i| i["subtotal_minor"] == 870).await;
        finalize(&server, &invoice, "k").await;
        post(&server, &path_of(&invoice, "void"), json!({ "reason": name })).await;
        let words = pdf(&server, &path_of(&invoice, "pdf")).await.words();
        has(&words, &[&format!("Made void: {name}")]);
        assert_eq!(words.matches(name).count(), 3, "as the customer, the reason, and at the foot: {words}");
    }
}

/// No font of ours has these letters, and an archive takes no empty shapes: the document is whole, and says so by `?`.
#[tokio::test]
async fn what_cannot_be_printed_spoils_nothing() {
    let (server, invoice) = used(|config| config).await;
    finalize(&server, &invoice, "k").await;
    let long = "z".repeat(300);
    let reason = format!("漢字 \u{202e}abc\u{200b} \u{1f69a} tab\tline\nend {long}");
    post(&server, &path_of(&invoice, "void"), json!({ "reason": reason })).await;
    let found = pdf(&server, &path_of(&invoice, "pdf")).await;
    has(&found.words(), &["Made void: ?? abc ? tab line end z"]);
    assert_eq!(found.text().matches('z').count(), 300, "all of a long word is on the page");
    assert_eq!(found.pages(), 1);
}

#[tokio::test]
async fn amounts_have_the_decimals_of_their_currency() {
    for (currency, price, wanted) in [
        ("JPY", "100", ["Amount (JPY)", "Tax 10 % of 1,235 124", "Total JPY 1,359"]),
        ("KWD", "0.1", ["Amount (KWD)", "Tax 10 % of 1.235 0.124", "Total KWD 1.359"]),
    ] {
        let server = Server::start().await;
        let terms = json!({
            "name": "By the km", "currency": currency, "tax_percent": "10",
            "elements": [{ "components": [{ "type": "DISTANCE", "price": price }] }],
        });
        customer(&server, ("Acme", currency), terms).await;
        server.lake.commit(vec![trip("a", "car-1", "2026-11-02T08:00:00Z", (12_350, 600, 0))]);
        let invoice = only_invoice(&server, |i| i["line_count"] == 1).await;
        assert_eq!((&invoice["subtotal_minor"], &invoice["total_minor"]), (&json!(1_235), &json!(1_359)));
        let words = pdf(&server, &path_of(&invoice, "pdf")).await.words();
        has(&words, &wanted);
        let csv = file(&server, &path_of(&invoice, "csv"), &[]).await;
        let amount = if currency == "JPY" { ",1235," } else { ",1.235," };
        has(&String::from_utf8(csv.bytes).unwrap(), &[amount]);
    }
}

/// Trips that make four lines each.
async fn many(server: &Server, from: usize, to: usize) -> Value {
    let numbers: Vec<usize> = (from..to).collect();
    for part in numbers.chunks(100) {
        let trips = part.iter().map(|n| {
            let start = format!("2026-11-{:02}T{:02}:{:02}:00Z", 2 + n % 20, n / 20 % 24, n / 480 * 7);
            trip(&format!("t{n:05}"), "car-1", &start, (10_000, 300, 60))
        });
        server.lake.commit(trips.collect());
        let count = 4 * (part[part.len() - 1] + 1);
        server.until("/v1/invoices", |p| p["data"][0]["line_count"] == count).await;
    }
    server.json("/v1/invoices").await["data"][0].clone()
}

#[tokio::test]
async fn a_long_invoice_has_its_head_on_each_page_and_one_too_long_is_told_to_be_csv() {
    let server = Server::start_with(selling).await;
    server.customer("car-1").await;
    let invoice = many(&server, 0, 500).await;
    // In time: the api gives up on one that takes longer than its limit.
    let found = pdf(&server, &path_of(&invoice, "pdf")).await;
    let text = found.text();
    let pages: Vec<&str> = text.split('\u{c}').filter(|page| !page.trim().is_empty()).collect();
    assert_eq!(pages.len(), found.pages());
    assert!(pages.len() > 50, "{}", pages.len());
    for (index, page) in pages.iter().enumerate() {
        assert!(page.contains(&format!("{} of {}", index + 1, pages.len())), "{page}");
    }
    let with_head = pages.iter().filter(|page| page.contains("Unit price")).count();
    assert!(with_head >= pages.len() - 1, "all but what has the sums alone: {with_head} of {}", pages.len());
    assert_eq!(text.matches("tariff v1 · rows").count(), 2_000, "each line with its proof");

    let invoice = many(&server, 500, 1_251).await;
    let refused = file(&server, &path_of(&invoice, "pdf"), &[]).await;
    let problem: Value = serde_json::from_slice(&refused.bytes).unwrap();
    assert_eq!(refused.status, 422, "{problem}");
    has(&problem.to_string(), &["5004", "at most 5000", &path_of(&invoice, "csv")]);
    let csv = file(&server, &path_of(&invoice, "csv"), &[]).await;
    assert_eq!(String::from_utf8(csv.bytes).unwrap().lines().count(), 5_005, "all of them, and the head");
}

#[tokio::test]
async fn the_csv_has_a_row_a_line_and_sums_to_the_invoice() {
    let (server, invoice) = used(|config| config).await;
    finalize(&server, &invoice, "k").await;
    let found = file(&server, &path_of(&invoice, "csv"), &[]).await;
    assert_eq!((found.status, found.header("content-type")), (200, Some("text/csv; charset=utf-8")));
    assert_eq!(found.header("content-disposition"), Some("attachment; filename=\"RL-000001.csv\""));
    let mut reader = csv::Reader::from_reader(found.bytes.as_slice());
    let header = reader.headers().unwrap().clone();
    let at = |name: &str| header.iter().position(|column| column == name).unwrap();
    let rows: Vec<csv::StringRecord> = reader.records().map(Result::unwrap).collect();
    let lines = invoice["lines"].as_array().unwrap();
    assert_eq!(rows.len(), lines.len());
    let mut cents = 0;
    for (row, line) in rows.iter().zip(lines) {
        for (column, field) in [
            ("line_id", "id"),
            ("trip_id", "trip_id"),
            ("trip_start_time", "trip_start_time"),
            ("vehicle_id", "vehicle_id"),
            ("description", "description"),
            ("component", "component"),
            ("quantity", "quantity"),
            ("unit", "unit"),
            ("unit_price", "unit_price"),
            ("tax_percent", "tax_percent"),
            ("row_hash", "row_hash"),
        ] {
            assert_eq!(row[at(column)], *line[field].as_str().unwrap(), "{column}");
        }
        assert_eq!((&row[at("invoice_number")], &row[at("currency")]), ("RL-000001", "EUR"));
        cents += row[at("amount")].replace('.', "").parse::<i64>().unwrap();
    }
    assert_eq!(invoice["subtotal_minor"], cents);
    let tag = found.header("etag").unwrap();
    let seen = file(&server, &path_of(&invoice, "csv"), &[("if-none-match", tag)]).await;
    assert_eq!(seen.status, 304);
}
