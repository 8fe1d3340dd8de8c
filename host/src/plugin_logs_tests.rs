//! A log against a model: all lines ever written.

use super::*;
use proptest::prelude::*;
use std::time::Duration;

fn limits(lines: u64, bytes: u64, unread: u64) -> Arc<Limits> {
    Arc::new(Limits {
        log_bytes_max: 20,
        plugin_log_lines_max: lines,
        plugin_log_bytes_max: bytes,
        plugin_log_unread_lines_max: unread,
        plugin_log_readers_max: 2,
        ..Limits::default()
    })
}

fn write(logs: &PluginLogs, plugin: &str, words: &str) {
    logs.of_plugin(&plugin.into()).write(Level::Info, &"v1".into(), None, words);
}

fn words(lines: &[Arc<Line>]) -> Vec<String> {
    lines.iter().map(|line| line.line.clone()).collect()
}

proptest! {
    #[test]
    fn what_is_kept_is_the_longest_end_within_the_bounds(
        written in prop::collection::vec("[a-zä]{0,30}", 0..40),
        (lines_max, bytes_max, asked) in (0_u64..10, 0_u64..120, 0_usize..20),
    ) {
        let logs = PluginLogs::new(limits(lines_max, bytes_max, 4));
        for words in &written {
            write(&logs, "p", words);
        }
        let cut = |words: &String| {
            let end = words.floor_char_boundary(20);
            if end < words.len() { format!("{}…", &words[..end]) } else { words.clone() }
        };
        let model: Vec<String> = written.iter().map(cut).collect();
        let fits = |from: &usize| {
            let end = &model[*from..];
            end.len() as u64 <= lines_max && end.iter().map(String::len).sum::<usize>() as u64 <= bytes_max
        };
        let kept = (0..=model.len()).find(fits).expect("nothing fits always");
        let from = kept.max(model.len().saturating_sub(asked));
        prop_assert_eq!(words(&logs.tail("p", asked)), model[from..].to_vec());
    }
}

#[test]
fn a_plugin_that_nobody_knows_has_no_lines() {
    let logs = PluginLogs::new(limits(10, 1000, 4));
    write(&logs, "a", "of a");
    assert!(logs.tail("b", 10).is_empty());
    assert_eq!(words(&logs.tail("a", 10)), ["of a"]);
}

#[tokio::test]
async fn a_reader_who_is_too_slow_is_told_how_much_it_missed() {
    let logs = PluginLogs::new(limits(3, 1000, 4));
    write(&logs, "p", "before");
    let mut reader = logs.follow("p", 0).unwrap();
    (0..10).for_each(|n| write(&logs, "p", &n.to_string()));
    let missed = reader.next().await.unwrap();
    assert!(missed.line.starts_with("6 lines ") && missed.level == Level::Warning, "{missed:?}");
    for n in 6..10 {
        assert_eq!(reader.next().await.unwrap().line, n.to_string());
    }
}

#[test]
fn there_are_so_many_readers_and_no_more() {
    let logs = PluginLogs::new(limits(3, 1000, 4));
    assert_eq!(logs.follow("p", 0).err(), Some(NotFollowed::NoSuchPlugin));
    write(&logs, "p", "known now");
    let (first, second) = (logs.follow("p", 0), logs.follow("p", 0));
    assert!(first.is_ok() && second.is_ok());
    assert_eq!(logs.follow("p", 0).err(), Some(NotFollowed::TooManyReaders));
    drop(first);
    assert!(logs.follow("p", 0).is_ok());
}

/// Whatever the moment at which a reader comes: no line twice, none left out.
#[test]
fn kept_and_to_come_fit_together() {
    const LINES: u64 = 2_000;
    let logs = Arc::new(PluginLogs::new(limits(LINES, 1 << 20, LINES)));
    logs.of_plugin(&"p".into());
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    std::thread::scope(|threads| {
        for _ in 0..2 {
            threads.spawn(|| (0..LINES / 2).for_each(|_| write(&logs, "p", "line")));
        }
        runtime.block_on(async {
            let mut reader = logs.follow("p", LINES as usize).unwrap();
            let mut numbers = Vec::new();
            while numbers.len() < LINES as usize {
                let next = tokio::time::timeout(Duration::from_secs(30), reader.next()).await;
                let line = next.expect("a line was left out").unwrap();
                assert_eq!(line.line, "line");
                numbers.push(line.number);
            }
            // Two lanes may tell their followers in another order than they were kept in.
            numbers.sort_unstable();
            assert!(numbers.iter().copied().eq(0..LINES), "twice or never");
            assert!(tokio::time::timeout(Duration::ZERO, reader.next()).await.is_err(), "one more");
        });
    });
}
