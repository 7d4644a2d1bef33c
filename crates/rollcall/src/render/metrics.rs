//! Numbers in Prometheus' text form, for the textfile collector of its node_exporter.
//!
//! ```text
//! # HELP mysql_user_storage_bytes Bytes that the schemas of a user hold.
//! # TYPE mysql_user_storage_bytes gauge
//! mysql_user_storage_bytes{server="web07",user="t4711"} 48000000000
//! ```

use std::collections::HashSet;
use std::fmt::{self, Write as _};
use std::time::Duration;

use super::escape::label;

/// A metric with its samples. Labels are told apart by their values.
#[derive(Debug, Clone)]
pub(crate) struct Metric {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    /// A value a label, and the number.
    pub(crate) samples: Vec<(Vec<Vec<u8>>, Number)>,
}

/// How a metric moves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Up and down.
    Gauge,
    /// Up, until the process begins anew.
    Counter,
}

/// What a sample says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Number {
    Whole(u64),
    Seconds(Duration),
}

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Number::Whole(number) => number.fmt(f),
            Number::Seconds(it) => write!(f, "{}.{:06}", it.as_secs(), it.subsec_micros()),
        }
    }
}

/// All of them as text, and beside them samples of an earlier text whose series are not in it, up to so many of a
/// metric. Metrics without a sample are left out.
pub(crate) fn metrics_text_beside(metrics: &[Metric], before: &str, kept_max: usize) -> String {
    let mut out = String::new();
    for metric in metrics {
        let Metric { name, help, kind, .. } = metric;
        let mut series = HashSet::new();
        let mut lines = String::new();
        for (values, number) in &metric.samples {
            let labels = metric.labels.iter().zip(values);
            let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", label(value)));
            let one = format!("{name}{{{}}}", labels.collect::<Vec<_>>().join(","));
            let _ = writeln!(lines, "{one} {number}");
            series.insert(one);
        }
        let begin = format!("{name}{{{}=\"", metric.labels.first().unwrap_or(&""));
        let earlier = before.lines().filter_map(|line| {
            let (one, number) = line.rsplit_once(' ')?;
            let is_sample = one.starts_with(&begin) && one.ends_with("\"}");
            (is_sample && number.parse::<u64>().is_ok()).then_some((one, line))
        });
        let missing = earlier.filter(|(one, _)| series.insert((*one).to_owned()));
        for (_, line) in missing.take(kept_max) {
            let _ = writeln!(lines, "{line}");
        }
        if !lines.is_empty() {
            let kind = if *kind == Kind::Gauge { "gauge" } else { "counter" };
            let _ = write!(out, "# HELP {name} {help}\n# TYPE {name} {kind}\n{lines}");
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics_text(metrics: &[Metric]) -> String {
        metrics_text_beside(metrics, "", 0)
    }

    fn metric(name: &'static str, samples: Vec<(Vec<Vec<u8>>, Number)>) -> Metric {
        Metric { name, help: "Help.", kind: Kind::Gauge, labels: &["server", "user"], samples }
    }

    fn of(user: &[u8], number: u64) -> (Vec<Vec<u8>>, Number) {
        (vec![b"db1".to_vec(), user.to_vec()], Number::Whole(number))
    }

    #[test]
    fn samples_stand_under_their_metric() {
        let took = Number::Seconds(Duration::from_micros(1_000_203));
        let text = metrics_text(&[
            metric("one", vec![of(b"a", 1), of(b"b\"\n", u64::MAX)]),
            metric("none", Vec::new()),
            metric("two", vec![of(b"a", 0)]),
            Metric {
                kind: Kind::Counter,
                labels: &["server"],
                ..metric("all_total", vec![(vec![b"x".to_vec()], took)])
            },
        ]);
        insta::assert_snapshot!(text, @r##"
        # HELP one Help.
        # TYPE one gauge
        one{server="db1",user="a"} 1
        one{server="db1",user="b\"\n"} 18446744073709551615
        # HELP two Help.
        # TYPE two gauge
        two{server="db1",user="a"} 0
        # HELP all_total Help.
        # TYPE all_total counter
        all_total{server="x"} 1.000203
        "##);
    }

    #[test]
    fn series_of_an_earlier_text_stay() {
        let before =
            metrics_text(&[metric("one", vec![of(b"a", 1), of(b"b\" 7", 2), of(b"c", 3)])]);
        let before = format!(
            "{before}one{{server=\"x\"}} nonsense\none{{evil}} 1\nother{{server=\"x\"}} 1\n"
        );
        let text = metrics_text_beside(&[metric("one", vec![of(b"a", 9)])], &before, 10);
        insta::assert_snapshot!(text, @r##"
        # HELP one Help.
        # TYPE one gauge
        one{server="db1",user="a"} 9
        one{server="db1",user="b\" 7"} 2
        one{server="db1",user="c"} 3
        "##);
        let text = metrics_text_beside(&[metric("one", vec![of(b"a", 9)])], &before, 1);
        assert!(text.contains("b\\\" 7") && !text.contains("\"c\""), "{text}");
    }
}
