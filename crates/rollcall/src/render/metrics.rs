//! Numbers in Prometheus' text form, for the textfile collector of its node_exporter.
//!
//! ```text
//! # HELP mysql_user_storage_bytes Bytes that the schemas of a user hold.
//! # TYPE mysql_user_storage_bytes gauge
//! mysql_user_storage_bytes{server="web07",user="t4711"} 48000000000
//! ```

use std::fmt::Write as _;

use super::escape::label;

/// A metric with its samples. Labels are told apart by their values.
#[derive(Debug, Clone)]
pub(crate) struct Gauge {
    pub(crate) name: &'static str,
    pub(crate) help: &'static str,
    pub(crate) labels: &'static [&'static str],
    /// A value a label, and the number.
    pub(crate) samples: Vec<(Vec<Vec<u8>>, u64)>,
}

/// All of them as text; metrics without a sample are left out.
pub(crate) fn metrics_text(gauges: &[Gauge]) -> String {
    let mut out = String::new();
    for gauge in gauges.iter().filter(|it| !it.samples.is_empty()) {
        let Gauge { name, help, .. } = gauge;
        let _ = writeln!(out, "# HELP {name} {help}\n# TYPE {name} gauge");
        for (values, number) in &gauge.samples {
            let labels = gauge.labels.iter().zip(values);
            let labels = labels.map(|(name, value)| format!("{name}=\"{}\"", label(value)));
            let _ = writeln!(out, "{name}{{{}}} {number}", labels.collect::<Vec<_>>().join(","));
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_under_their_metric() {
        let gauge =
            |name, samples| Gauge { name, help: "Help.", labels: &["server", "user"], samples };
        let of = |user: &[u8], number| (vec![b"db1".to_vec(), user.to_vec()], number);
        let text = metrics_text(&[
            gauge("one", vec![of(b"a", 1), of(b"b\"\n", u64::MAX)]),
            gauge("none", Vec::new()),
            gauge("two", vec![of(b"a", 0)]),
        ]);
        insta::assert_snapshot!(text, @r##"
        # HELP one Help.
        # TYPE one gauge
        one{server="db1",user="a"} 1
        one{server="db1",user="b\"\n"} 18446744073709551615
        # HELP two Help.
        # TYPE two gauge
        two{server="db1",user="a"} 0
        "##);
    }
}
