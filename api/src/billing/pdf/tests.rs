use serde_json::json;

use super::*;

#[test]
fn a_file_has_a_name_that_every_system_takes() {
    for (number, wanted) in
        [("RL-000001", "RL-000001"), ("../x\"\r\n", "-x---"), ("a b/c\\d", "a-b-c-d"), ("é1", "-1")]
    {
        assert_eq!(safe(number), wanted);
    }
}

#[test]
fn long_words_may_be_broken_and_others_stay() {
    assert_eq!(breakable("short words stay as they are, however many of them there may be"), {
        "short words stay as they are, however many of them there may be"
    });
    let word = "x".repeat(3 * WORD_LEN_MAX);
    let broken = breakable(&word);
    let parts: Vec<&str> = broken.split(ZERO_WIDTH_SPACE).collect();
    assert!(parts.len() == 3 && parts.iter().all(|part| part.len() == WORD_LEN_MAX), "{parts:?}");
}

#[test]
fn what_is_not_seen_is_not_there_and_what_no_font_has_is_told() {
    let press = Press::new(&[]).unwrap();
    assert_eq!(press.printable("Ωμέγα Жук ÆØÅ ß 1 → 2 − 3 “q” …"), "Ωμέγα Жук ÆØÅ ß 1 → 2 − 3 “q” …");
    assert_eq!(press.printable("a\u{202e}b\u{0}c\td\u{200b}e\u{200d}f"), "ab c def");
    assert_eq!(press.printable("漢字\u{1f69a}"), "???");
    let data = json!({ "url": "https://a.example/\u{1f69a}", "lines": [{ "text": "\u{1f69a}", "n": 1 }], "x": null });
    let printed = printable(&press, "", data);
    assert_eq!(
        printed,
        json!({ "url": "https://a.example/\u{1f69a}", "lines": [{ "text": "?", "n": 1 }], "x": null })
    );
}

#[test]
fn what_is_too_long_is_told_where_it_can_be_had() {
    assert!(check_length(LINES_MAX, "/csv").is_ok());
    let refused = check_length(LINES_MAX + 1, "/csv").unwrap_err();
    assert_eq!(refused.kind(), crate::fault::Kind::Invalid);
    assert!(refused.to_string().contains("5001") && refused.to_string().contains("/csv"), "{refused}");
}

#[tokio::test]
async fn whoever_hangs_up_frees_no_place_that_is_in_use() {
    let printing = Printing::new(Vec::new());
    let (begun, seen) = std::sync::mpsc::sync_channel(1);
    let (end, ended) = std::sync::mpsc::sync_channel::<()>(1);
    let work = move || {
        begun.send(()).unwrap();
        ended.recv().unwrap();
    };
    {
        let mut asking = std::pin::pin!(printing.blocking(1, work));
        assert!(futures::poll!(asking.as_mut()).is_pending());
        seen.recv().unwrap();
    }
    assert_eq!(printing.places.available_permits(), PRINTING_MAX as usize - 1);
    end.send(()).unwrap();
    drop(printing.places.acquire_many(PRINTING_MAX).await.unwrap());
}

#[tokio::test]
async fn who_waits_too_long_is_told_to_come_again() {
    let printing = Printing { wait_max: Duration::from_millis(10), ..Printing::new(Vec::new()) };
    let all = printing.places.acquire_many(PRINTING_MAX).await.unwrap();
    let refused = printing.blocking(1, || ()).await.unwrap_err();
    assert_eq!(refused.kind(), crate::fault::Kind::Busy);
    drop(all);
    printing.blocking(1, || ()).await.unwrap();
}

/// The template has no way out: not by what it is given, and not by itself.
#[test]
fn there_is_nothing_to_read_but_the_data() {
    let press = Press::new(&[]).unwrap();
    for (template, told) in [
        ("#read(\"/etc/passwd\")", "denied"),
        ("#read(\"other.json\")", "denied"),
        ("#import \"@preview/cetz:0.3.4\"", "denied"),
        ("#datetime.today()", "date"),
    ] {
        let refused = press.with_template(template).set(("x", figures::made(Timestamp(0))), b"{}".to_vec());
        let refused = refused.unwrap_err();
        assert!(refused.contains(told), "{template}: {refused}");
    }
}
