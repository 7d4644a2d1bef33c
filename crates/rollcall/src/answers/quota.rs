//! `quota check`: what users' schemas hold, against their limits; what fills the disk beside them.

use live::sizes::{Areas, Method};
use verdict::account::Family;
use verdict::quota::{Limit, Rest, State, Usage, days_until};

use super::{View, plural};
use crate::quota::{Action, Measured};
use crate::render::{Answer, Column, Records, Table, Value, inert, shown, thousands, unit_bytes};
use crate::time::{Zone, table_text};

/// The fields for programs: one row a user, one for what is shared and one for what nobody owns.
pub(super) const FIELDS: [&str; 12] = [
    "server",
    "user",
    "bytes",
    "soft_limit_bytes",
    "hard_limit_bytes",
    "state",
    "action",
    "schemas",
    "growth_bytes_per_day",
    "soft_limit_days",
    "hard_limit_days",
    "action_since",
];

/// The fields of what is nobody's.
pub(super) const AREA_FIELDS: [&str; 3] = ["server", "area", "area_bytes"];

/// The most schemas that the page lists without an owner.
const NAMES_MAX: usize = 10;

/// Limits that are farther away than this many days are not told of: ten years.
const DAYS_MAX: u64 = 3650;

impl Measured {
    /// Names and bytes of what the disk holds; what is not known is left out.
    fn areas(&self) -> Vec<(&'static str, u64)> {
        let schemas = self.schemas.values().fold(0, |sum: u64, it| sum.saturating_add(*it));
        let Areas { binlog, undo, tmp, system, general } = self.areas;
        [
            ("schemas", Some(schemas)),
            ("binlog", binlog),
            ("undo", undo),
            ("tmp", tmp),
            ("system", system),
            ("general tablespaces", general),
        ]
        .into_iter()
        .filter_map(|(area, bytes)| Some((area, bytes?)))
        .collect()
    }

    /// Days until a limit is exceeded if all goes on as it did.
    fn days(&self, usage: &Usage, limit: Option<u64>) -> Option<u64> {
        days_until(limit?, usage.bytes, *self.growth.get(&usage.user)?)
    }
}

/// The answer.
pub(crate) fn quota(all: &[Measured], limit: Option<usize>, view: View<'_>) -> Answer {
    let mut answer = Answer::default();
    let mut records = Records::new(&FIELDS);
    let mut areas = Records::new(&AREA_FIELDS);
    for (number, one) in all.iter().enumerate() {
        let users = &one.accounted.users;
        let shown = &users[..limit.unwrap_or(users.len()).min(users.len())];
        answer.rows += shown.len();
        if view.page {
            if number > 0 {
                answer.page.blank();
            }
            show(&mut answer, one, shown, view.zone);
        }
        if view.records {
            shown.iter().for_each(|it| records.push(fields(one, it)));
            for (state, rest) in
                [("shared", &one.accounted.shared), ("unowned", &one.accounted.unowned)]
            {
                if !rest.schemas.is_empty() {
                    records.push(rest_fields(one, state, rest));
                }
            }
            for (area, bytes) in one.areas() {
                let server = Value::word(one.server.as_str());
                areas.push(vec![server, Value::word(area), Value::Number(bytes)]);
            }
        }
    }
    if view.page && all.iter().filter_map(Measured::worst).any(|it| it >= State::Soft) {
        answer.page.line("Space returns after OPTIMIZE or DROP, not after DELETE.");
    }
    if view.records {
        answer.records = vec![records, areas];
    }
    answer
}

fn fields(one: &Measured, it: &Usage) -> Vec<Value> {
    let Limit { soft, hard } = it.limit.unwrap_or_default();
    vec![
        Value::word(one.server.as_str()),
        Value::Name(it.user.clone()),
        Value::Number(it.bytes),
        Value::number(soft),
        Value::number(hard),
        Value::word(it.state.as_str()),
        one.actions.get(&it.user).map_or(Value::Absent, |it| Value::word(action_word(it))),
        Value::Names(it.schemas.clone()),
        one.growth.get(&it.user).map_or(Value::Absent, |it| Value::Integer(*it)),
        Value::number(one.days(it, soft)),
        Value::number(one.days(it, hard)),
        Value::time(one.actions.get(&it.user).and_then(action_since)),
    ]
}

/// `action` for programs.
fn action_word(action: &Action) -> &'static str {
    match action {
        Action::Warned { .. } => "warned",
        Action::Held { policy, .. } => policy,
        Action::Would { policy: "lock" } => "would lock",
        Action::Would { policy: "no-growth" } => "would no-growth",
        Action::Would { .. } => "would restore",
        Action::Not { .. } => "refused",
    }
}

fn action_since(action: &Action) -> Option<i64> {
    match action {
        Action::Warned { at_us } | Action::Held { since_us: at_us, .. } => Some(*at_us),
        Action::Would { .. } | Action::Not { .. } => None,
    }
}

/// `lock since 03:12, 4 sessions closed`.
fn action_text(action: &Action, zone: &Zone) -> String {
    match action {
        Action::Warned { at_us } => format!("warned {}", table_text(*at_us, zone)),
        Action::Held { policy, since_us, closed } => {
            let closed = match closed {
                0 => String::new(),
                1 => ", 1 session closed".to_owned(),
                n => format!(", {n} sessions closed"),
            };
            format!("{policy} since {}{closed}", table_text(*since_us, zone))
        }
        Action::Would { policy } => format!("would {policy} (--apply)"),
        Action::Not { why } => format!("not as it should be: {}", inert(why)),
    }
}

fn rest_fields(one: &Measured, state: &str, rest: &Rest) -> Vec<Value> {
    let mut fields = vec![
        Value::word(one.server.as_str()),
        Value::Absent,
        Value::Number(rest.bytes),
        Value::Absent,
        Value::Absent,
        Value::word(state),
        Value::Absent,
        Value::Names(rest.schemas.clone()),
    ];
    fields.resize(FIELDS.len(), Value::Absent);
    fields
}

fn show(answer: &mut Answer, one: &Measured, users: &[Usage], zone: &Zone) {
    let areas =
        one.areas().into_iter().map(|(area, bytes)| format!("{area} {}", unit_bytes(bytes)));
    let areas = areas.collect::<Vec<_>>().join(", ");
    let server = inert(&one.server);
    answer.page.line(match &one.disk {
        Some((folder, percent)) => {
            format!("{server}: {} {percent} % full: {areas}", inert(folder))
        }
        None => format!("{server}: {areas}"),
    });
    if one.method == Method::InformationSchema {
        let age = match one.family {
            Family::MariaDb => "up to 12 s old",
            Family::MySql => "asked for anew",
        };
        answer.page.line(format!(
            "Sizes are those of information_schema: for InnoDB estimates, {age}, without free space"
        ));
    }
    let all = one.accounted.users.len();
    if users.len() < all {
        answer.page.line(format!(
            "{} of {} users (--limit)",
            thousands(users.len() as u64),
            thousands(all as u64)
        ));
    }
    if !users.is_empty() {
        answer.page.table(table(one, users, zone));
    }
    rest(answer, one, "shared", &one.accounted.shared);
    rest(answer, one, "unowned", &one.accounted.unowned);
    for (schema, writers) in one.accounted.several.iter().take(NAMES_MAX) {
        let writers: Vec<String> = writers.iter().take(NAMES_MAX).map(|it| shown(it)).collect();
        answer.page.line(format!("{} may be written by {}", shown(schema), writers.join(", ")));
    }
}

/// Schemas of nobody, the largest ones by name.
fn rest(answer: &mut Answer, one: &Measured, label: &'static str, rest: &Rest) {
    let size = |name: &Vec<u8>| one.schemas.get(name).copied().unwrap_or(0);
    let item = |name: &Vec<u8>| format!("{} {}", shown(name), unit_bytes(size(name)));
    let mut items: Vec<String> = rest.schemas.iter().take(NAMES_MAX).map(item).collect();
    let others = &rest.schemas[items.len()..];
    if !others.is_empty() {
        let bytes = others.iter().map(size).fold(0, u64::saturating_add);
        items.push(format!("{} {}", plural(others.len() as u64, "other"), unit_bytes(bytes)));
    }
    answer.page.items(label, items);
}

fn table(one: &Measured, users: &[Usage], zone: &Zone) -> Table {
    let mut columns = vec![
        Column::name("USER"),
        Column::number("SIZE"),
        Column::number("PER DAY").dispensable(2),
        Column::number("SOFT").dispensable(3),
        Column::number("HARD").dispensable(1),
        Column::fixed("STATE"),
        Column::fixed("LIMIT REACHED").dispensable(4),
    ];
    let acts = users.iter().any(|it| one.actions.contains_key(&it.user));
    if acts {
        columns.push(Column::fixed("ACTION"));
    }
    let mut table = Table::new(columns);
    let dash = || "–".to_owned();
    for it in users {
        let Limit { soft, hard } = it.limit.unwrap_or_default();
        let mut row = vec![
            shown(&it.user),
            unit_bytes(it.bytes),
            one.growth.get(&it.user).map_or_else(dash, |it| signed_bytes(*it)),
            soft.map_or_else(dash, unit_bytes),
            hard.map_or_else(dash, unit_bytes),
            state(it),
            reached(one, it).unwrap_or_else(dash),
        ];
        if acts {
            let action = one.actions.get(&it.user);
            row.push(action.map_or_else(dash, |it| action_text(it, zone)));
        }
        table.push(row);
    }
    table
}

/// `hard`, `soft`, or how much of the next limit is taken.
fn state(it: &Usage) -> String {
    let next = it.limit.and_then(|limit| limit.soft.or(limit.hard));
    match (it.state, next) {
        (State::Ok, Some(next)) => {
            let percent = u128::from(it.bytes) * 100 / u128::from(next.max(1));
            format!("{percent} %")
        }
        (State::Unlimited, _) => "–".to_owned(),
        (state, _) => state.as_str().to_owned(),
    }
}

/// `hard in 12 d`, of the limit that comes next.
fn reached(one: &Measured, it: &Usage) -> Option<String> {
    let Limit { soft, hard } = it.limit?;
    let (name, days) = match one.days(it, soft) {
        Some(days) => ("soft", days),
        None => ("hard", one.days(it, hard)?),
    };
    (days <= DAYS_MAX).then(|| format!("{name} in {} d", thousands(days)))
}

fn signed_bytes(bytes: i64) -> String {
    let sign = if bytes < 0 { "−" } else { "+" };
    format!("{sign}{}", unit_bytes(bytes.unsigned_abs()))
}

#[cfg(test)]
mod tests {
    use super::super::tests::with_view;
    use super::*;
    use crate::render::Format;
    use insta::assert_snapshot;
    use std::collections::BTreeMap;
    use verdict::quota::{Accounted, Limits, OwnerRules, Owners, Pattern, account};

    const GB: u64 = 1_000_000_000;

    fn measured() -> Measured {
        let schemas = [
            (&b"t4711"[..], 40 * GB),
            (b"t4711_blog", 8 * GB),
            (b"t0815", 46 * GB / 10),
            (b"x\x1b[2J", 10),
            (b"free", 3 * GB),
            (b"common", GB),
            (b"old, shop", 2 * GB),
        ];
        let schemas: BTreeMap<Vec<u8>, u64> =
            schemas.into_iter().map(|(name, bytes)| (name.to_vec(), bytes)).collect();
        let rules = OwnerRules {
            shared: vec![Pattern::schema("common").unwrap()],
            ..OwnerRules::default()
        };
        let mut limits = Limits::default();
        let limit = |soft: u64, hard: u64| Limit { soft: Some(soft * GB), hard: Some(hard * GB) };
        limits.add(b"t4711", limit(5, 8)).unwrap();
        limits.add(b"t0815", limit(5, 8)).unwrap();
        limits.add(b"x\x1b[2J", Limit { soft: None, hard: Some(100) }).unwrap();
        let users = [&b"free"[..], b"t4711", b"t0815", b"x\x1b[2J"].map(<[u8]>::to_vec);
        let accounted = account(&schemas, &Owners::new(&rules, users, &[]), &limits);
        Measured {
            server: "web07".to_owned(),
            family: Family::MariaDb,
            method: Method::Tablespaces,
            disk: Some(("/var/lib/mysql".to_owned(), 96)),
            schemas,
            areas: Areas {
                binlog: Some(61 * GB),
                undo: None,
                tmp: Some(GB),
                system: Some(80_000_000),
                general: None,
            },
            accounted,
            growth: BTreeMap::from([
                (b"t4711".to_vec(), 39 * GB as i64),
                (b"t0815".to_vec(), 10_000_000),
                (b"free".to_vec(), -5),
            ]),
            actions: BTreeMap::new(),
        }
    }

    #[test]
    fn who_holds_what() {
        let answer = with_view(|view| quota(&[measured()], None, view));
        assert_eq!(answer.rows, 4);
        assert_snapshot!(answer.text(Format::Table, Some(100)), @r#"
        web07: /var/lib/mysql 96 % full: schemas 58.6 GB, binlog 61.0 GB, tmp 1.0 GB, system 80.0 MB
        USER         SIZE   PER DAY    SOFT    HARD  STATE  LIMIT REACHED
        t4711     48.0 GB  +39.0 GB  5.0 GB  8.0 GB  hard   –
        t0815      4.6 GB  +10.0 MB  5.0 GB  8.0 GB  92 %   soft in 40 d
        x\x1b[2J     10 B         –       –   100 B  10 %   –
        free       3.0 GB      −5 B       –       –  –      –
        shared      common 1.0 GB
        unowned     'old, shop' 2.0 GB
        Space returns after OPTIMIZE or DROP, not after DELETE.
        "#);
        assert_snapshot!(answer.text(Format::Json, None), @r#"
        {"server":"web07","user":"t4711","bytes":48000000000,"soft_limit_bytes":5000000000,"hard_limit_bytes":8000000000,"state":"hard","action":null,"schemas":["t4711","t4711_blog"],"growth_bytes_per_day":39000000000,"soft_limit_days":null,"hard_limit_days":null,"action_since":null}
        {"server":"web07","user":"t0815","bytes":4600000000,"soft_limit_bytes":5000000000,"hard_limit_bytes":8000000000,"state":"ok","action":null,"schemas":["t0815"],"growth_bytes_per_day":10000000,"soft_limit_days":40,"hard_limit_days":340,"action_since":null}
        {"server":"web07","user":"x\u001b[2J","bytes":10,"soft_limit_bytes":null,"hard_limit_bytes":100,"state":"ok","action":null,"schemas":["x\u001b[2J"],"growth_bytes_per_day":null,"soft_limit_days":null,"hard_limit_days":null,"action_since":null}
        {"server":"web07","user":"free","bytes":3000000000,"soft_limit_bytes":null,"hard_limit_bytes":null,"state":"unlimited","action":null,"schemas":["free"],"growth_bytes_per_day":-5,"soft_limit_days":null,"hard_limit_days":null,"action_since":null}
        {"server":"web07","user":null,"bytes":1000000000,"soft_limit_bytes":null,"hard_limit_bytes":null,"state":"shared","action":null,"schemas":["common"],"growth_bytes_per_day":null,"soft_limit_days":null,"hard_limit_days":null,"action_since":null}
        {"server":"web07","user":null,"bytes":2000000000,"soft_limit_bytes":null,"hard_limit_bytes":null,"state":"unowned","action":null,"schemas":["old, shop"],"growth_bytes_per_day":null,"soft_limit_days":null,"hard_limit_days":null,"action_since":null}
        {"server":"web07","area":"schemas","area_bytes":58600000010}
        {"server":"web07","area":"binlog","area_bytes":61000000000}
        {"server":"web07","area":"tmp","area_bytes":1000000000}
        {"server":"web07","area":"system","area_bytes":80000000}
        "#);
        assert_snapshot!(answer.text(Format::Csv, None), @r#"
        server,user,bytes,soft_limit_bytes,hard_limit_bytes,state,action,schemas,growth_bytes_per_day,soft_limit_days,hard_limit_days,action_since,user_hex
        web07,t4711,48000000000,5000000000,8000000000,hard,,"t4711, t4711_blog",39000000000,,,,
        web07,t0815,4600000000,5000000000,8000000000,ok,,t0815,10000000,40,340,,
        web07,x\x1b[2J,10,,100,ok,,x\x1b[2J,,,,,781b5b324a
        web07,free,3000000000,,,unlimited,,free,-5,,,,
        web07,,1000000000,,,shared,,common,,,,,
        web07,,2000000000,,,unowned,,"'old, shop'",,,,,
        "#);
    }

    #[test]
    fn what_is_done_about_users() {
        let mut one = measured();
        let since_us = 1_795_159_123_000_000;
        let why = "'x'@'%': replication account".to_owned();
        one.actions = BTreeMap::from([
            (b"t4711".to_vec(), Action::Held { policy: "no-growth", since_us, closed: 4 }),
            (b"t0815".to_vec(), Action::Warned { at_us: since_us }),
            (b"x\x1b[2J".to_vec(), Action::Not { why }),
            (b"free".to_vec(), Action::Would { policy: "lock" }),
        ]);
        let answer = with_view(|view| quota(&[one], None, view));
        assert_snapshot!(answer.text(Format::Table, Some(120)), @r#"
        web07: /var/lib/mysql 96 % full: schemas 58.6 GB, binlog 61.0 GB, tmp 1.0 GB, system 80.0 MB
        USER         SIZE   PER DAY    SOFT    HARD  STATE  LIMIT REACHED  ACTION
        t4711     48.0 GB  +39.0 GB  5.0 GB  8.0 GB  hard   –              no-growth since 2026-11-20 08:18, 4 sessions closed
        t0815      4.6 GB  +10.0 MB  5.0 GB  8.0 GB  92 %   soft in 40 d   warned 2026-11-20 08:18
        x\x1b[2J     10 B         –       –   100 B  10 %   –              not as it should be: 'x'@'%': replication account
        free       3.0 GB      −5 B       –       –  –      –              would lock (--apply)
        shared      common 1.0 GB
        unowned     'old, shop' 2.0 GB
        Space returns after OPTIMIZE or DROP, not after DELETE.
        "#);
        let json = answer.text(Format::Json, None);
        let words = json.lines().map(|line| {
            let row: serde_json::Value = serde_json::from_str(line).unwrap();
            format!("{} {}", row["action"], row["action_since"])
        });
        assert_snapshot!(words.take(4).collect::<Vec<_>>().join("\n"), @r#"
        "no-growth" "2026-11-20T07:18:43Z"
        "warned" "2026-11-20T07:18:43Z"
        "refused" null
        "would lock" null
        "#);
    }

    #[test]
    fn several_servers_and_little_room() {
        let other = Measured {
            server: "web08".to_owned(),
            family: Family::MySql,
            method: Method::InformationSchema,
            disk: None,
            accounted: Accounted::default(),
            schemas: (0..12).map(|it| (format!("s{it:02}").into_bytes(), GB)).collect(),
            ..measured()
        };
        let rest = Rest { bytes: 12 * GB, schemas: other.schemas.keys().cloned().collect() };
        let several = vec![(b"s00".to_vec(), vec![b"a".to_vec(), b"b".to_vec()])];
        let accounted = Accounted { unowned: rest, several, ..Accounted::default() };
        let other = Measured { accounted, ..other };
        let answer = with_view(|view| quota(&[measured(), other], Some(2), view));
        assert_eq!(answer.rows, 2);
        assert_snapshot!(answer.text(Format::Table, Some(44)), @r#"
        web07: /var/lib/mysql 96 % full: schemas
        58.6 GB, binlog 61.0 GB, tmp 1.0 GB, system
        80.0 MB
        2 of 4 users (--limit)
        USER      SIZE   PER DAY    HARD  STATE
        t4711  48.0 GB  +39.0 GB  8.0 GB  hard
        t0815   4.6 GB  +10.0 MB  8.0 GB  92 %
        (no room for LIMIT REACHED, SOFT)
        shared      common 1.0 GB
        unowned     'old, shop' 2.0 GB

        web08: schemas 12.0 GB, binlog 61.0 GB, tmp
        1.0 GB, system 80.0 MB
        Sizes are those of information_schema: for
        InnoDB estimates, asked for anew, without
        free space
        unowned     s00 1.0 GB · s01 1.0 GB
                    s02 1.0 GB · s03 1.0 GB
                    s04 1.0 GB · s05 1.0 GB
                    s06 1.0 GB · s07 1.0 GB
                    s08 1.0 GB · s09 1.0 GB
                    2 others 2.0 GB
        s00 may be written by a, b
        Space returns after OPTIMIZE or DROP, not
        after DELETE.
        "#);
    }

    #[test]
    fn nothing_returns_where_nobody_is_above() {
        let mut one = measured();
        one.accounted.users.retain(|it| it.state < State::Soft);
        let answer = with_view(|view| quota(&[one], None, view));
        assert!(!answer.text(Format::Table, None).contains("OPTIMIZE"));
    }
}
