//! Lines against themselves: what was rendered is read as it was.

use super::*;
use crate::payload::Payload;
use crate::trace::{
    Cancelled, Counted, Denial, GroupTouch, Membership, Opened, Page, Redacted, Routed, TableKind, TableTouch, Term,
    Timer,
};
use proptest::collection::{btree_map, vec};
use proptest::option::of;
use proptest::prelude::*;

fn pid() -> impl Strategy<Value = Pid> {
    (0..4u32, 1..4u32).prop_map(|(slot, generation)| Pid::new(0, slot, generation))
}

fn pids() -> impl Strategy<Value = Vec<Pid>> {
    vec(pid(), 0..3)
}

fn term() -> impl Strategy<Value = Term> {
    prop_oneof!["[a-z\"\u{0}é]{0,5}".prop_map(|text| Term(text.into_bytes())), vec(any::<u8>(), 0..5).prop_map(Term)]
}

fn terms() -> impl Strategy<Value = Vec<Term>> {
    vec(term(), 0..3)
}

fn data() -> impl Strategy<Value = Data> {
    prop_oneof![
        Just(Data::json("{\"a\": [1.50, \"\\u00e9\"]}")),
        Just(Data::json("{\"$text\":1}")),
        ".{0,5}".prop_map(|text| Data(Payload::Text(text))),
        vec(any::<u8>(), 0..5).prop_map(|bytes| Data(Payload::Binary(bytes.into()))),
    ]
}

fn met() -> impl Strategy<Value = Met> {
    let flag = any::<bool>;
    let tables = (".{0,3}", term(), flag(), terms(), of(terms()), of(terms()), flag()).prop_map(
        |(table, key, read, before, told, after, raced)| TableTouch { table, key, read, before, told, after, raced },
    );
    let pages = (".{0,3}", term(), of(term()), any::<u32>()).prop_map(|(table, prefix, after, limit)| Page {
        table,
        prefix,
        after,
        limit,
    });
    let counted = (".{0,3}", any::<u64>(), -2..2i64).prop_map(|(table, objects, own)| Counted { table, objects, own });
    let members = (pids(), of(pids()), of(pids()), of(pids()));
    let groups = (".{0,3}", term(), flag(), flag(), members, flag()).prop_map(
        |(scope, group, read, named, (before, told, after, resolved), raced)| GroupTouch {
            scope,
            group,
            read,
            named,
            before,
            told,
            after,
            resolved,
            raced,
        },
    );
    let memberships = (".{0,3}", pid(), terms()).prop_map(|(scope, pid, groups)| Membership { scope, pid, groups });
    let denied = (".{0,3}", ".{0,3}", terms(), of(any::<u32>()), ".{0,3}")
        .prop_map(|(call, table, keys, nth, limit)| Denial { call, table, keys, nth, limit });
    let timers = (of(any::<u64>()), of(".{0,3}"), any::<u64>(), ".{0,3}", data())
        .prop_map(|(id, limit, delay_ms, topic, data)| Timer { id, limit, delay_ms, topic, data });
    let cancelled = (any::<u64>(), flag()).prop_map(|(id, was_waiting)| Cancelled { id, was_waiting });
    let sizes = (btree_map(".{0,3}", any::<u64>(), 0..2), vec(counted, 0..2));
    let seen = (vec(tables, 0..3), vec(pages, 0..2), sizes, vec(groups, 0..3));
    let given = (vec(any::<u64>(), 0..3), vec(any::<u64>(), 0..3), vec(any::<u64>(), 0..3));
    let done = (vec(memberships, 0..2), pids(), vec(denied, 0..2), vec(timers, 0..2), vec(cancelled, 0..2));
    let kind = prop::sample::select(vec![TableKind::Set, TableKind::OrderedSet, TableKind::Bag]);
    let opened = (kind, ".{0,3}").prop_map(|(kind, owner)| Opened { kind, owner });
    let opened = btree_map(".{0,3}", opened, 0..2);
    (seen, given, done, opened).prop_map(
        |((tables, pages, (sizes, counted), groups), (system_ms, monotonic_us, random), done, opened)| {
            let (memberships, dead, denied, timers, cancelled) = done;
            Met {
                opened,
                tables,
                pages,
                counted,
                sizes,
                groups,
                memberships,
                dead,
                denied,
                system_ms,
                monotonic_us,
                random,
                timers,
                cancelled,
            }
        },
    )
}

fn delivery() -> impl Strategy<Value = Delivery> {
    let op = prop_oneof![
        pids().prop_map(Op::Pids),
        (".{0,3}", term()).prop_map(|(scope, group)| Op::Members(scope, group)),
        ".{0,3}".prop_map(Op::Subscribers),
        Just(Op::Union),
        Just(Op::Intersection),
        Just(Op::Subtract),
    ];
    let to = prop_oneof![Just(To::Subscribers), Just(To::Pids), vec(op, 0..4).prop_map(To::Expr)];
    (to, of(pids()), pids(), of(data())).prop_map(|(to, list, ended, message)| Delivery { to, list, ended, message })
}

fn answer() -> impl Strategy<Value = Answer> {
    let routed =
        (vec(delivery(), 0..3), pids()).prop_map(|(deliveries, remove)| Answer::Routed(Routed { deliveries, remove }));
    let fault = (".{0,3}", ".{0,9}").prop_map(|(kind, words)| Answer::Fault(Fault { kind, words }));
    prop_oneof![3 => routed, 1 => ".{0,9}".prop_map(Answer::Refused), 1 => ".{0,9}".prop_map(Answer::Invalid), 1 => fault]
}

pub(in crate::trace) fn event() -> impl Strategy<Value = EventLine> {
    let kind = prop::sample::select(vec![Kind::Publish, Kind::Join, Kind::Leave, Kind::Exit, Kind::Timer]);
    let reason = prop::sample::select(vec![Reason::Normal, Reason::Killed, Reason::Timeout]);
    let what = (kind, of(pid()), of(".{0,5}"), of(data()), of(reason), of(data()));
    let by = (any::<u64>(), any::<u64>(), any::<u32>(), any::<u64>());
    let around =
        (btree_map(pid(), of(".{0,5}"), 0..3), btree_map("[a-z]{1,3}", pids(), 0..2), of(vec(delivery(), 0..2)));
    let failed = (of((any::<u32>(), ".{0,5}")), of(".{0,5}"));
    (what, by, around, met(), answer(), failed).prop_map(|(what, by, around, met, answer, failed)| {
        let (kind, sender, user, data, reason, params) = what;
        let (event, time_ms, by, generation) = by;
        let (users, subscribers, instead) = around;
        let (fell_back, unrouted) = failed;
        let fell_back = fell_back.map(|(by, words)| FellBack { by, fault: Fault { kind: "trap".into(), words } });
        let topic = "chat.lobby".parse().unwrap();
        EventLine {
            event,
            time_ms,
            topic,
            kind,
            sender,
            user,
            data,
            reason,
            params,
            by,
            generation,
            users,
            subscribers,
            met,
            answer,
            fell_back,
            instead,
            unrouted,
        }
    })
}

fn any_line() -> impl Strategy<Value = Line> {
    let header =
        (any::<u16>(), any::<u64>(), of(".{0,5}"), any::<bool>()).prop_map(|(node, began_ms, topics, faithful)| {
            let redacted = if faithful { Vec::new() } else { vec![Redacted::Tables, Redacted::Users] };
            let limits = BTreeMap::from([("route_ms_max".to_owned(), began_ms)]);
            let (volley, plugin) = ("0.1.0".into(), "chat".into());
            Line::Header(Header {
                trace: 1,
                volley,
                node,
                plugin,
                began_ms,
                sample: 0.25,
                topics,
                redacted,
                faithful,
                limits,
            })
        });
    let version = (any::<u32>(), ".{0,5}", of(".{0,5}"), data())
        .prop_map(|(version, sha256, release, config)| Line::Version(VersionLine { version, sha256, release, config }));
    let end = (any::<u64>(), any::<u64>())
        .prop_map(|(events, left_out)| Line::End(End { end: Why::Bytes, events, left_out }));
    prop_oneof![1 => header, 1 => version, 6 => event().prop_map(Line::Event), 1 => end]
}

proptest! {
    #[test]
    fn what_was_rendered_is_read_as_it_was(line in any_line()) {
        let text = String::from_utf8(line.render()).unwrap();
        prop_assert_eq!(text.find('\n'), Some(text.len() - 1), "one line");
        let read = Line::parse(&text).unwrap();
        prop_assert_eq!(&read, &line);
        prop_assert_eq!(read.render(), text.into_bytes());
    }
}

#[test]
fn what_is_no_line_is_refused_in_words() {
    for (text, words) in [
        ("", "no JSON object"),
        ("[1]", "no JSON object"),
        ("{}", "none of trace"),
        ("{\"event\":7}", "invalid type"),
        ("{\"event\":\"-7\"}", "invalid digit"),
        ("{\"version\":1,\"sha256\":\"\",\"config\":1,\"more\":1}", "unknown field"),
        ("{\"end\":\"never\",\"events\":0,\"left_out\":0}", "unknown variant"),
    ] {
        let refused = Line::parse(text).unwrap_err();
        assert!(refused.contains(words), "{text}: {refused}");
    }
}
