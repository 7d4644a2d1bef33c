//! Logins over time, as a line of bars.

use std::collections::BTreeMap;

use ledger::Period;

use super::HOUR;
use crate::answers::View;
use crate::render::{Page, spark, thousands};
use crate::time::{date, moment, table_text};

/// The most bars of the chart: it fits an 80-column terminal with its label and peak.
const BARS_MAX: i64 = 48;

/// Logins over time, one bar an hour, some hours, a day or some days.
pub(super) fn chart(page: &mut Page, periods: &[Period], view: View<'_>) {
    let Some(bars) = bars(periods, view) else { return };
    let values: Vec<u64> = bars.values.iter().map(|(_, logins)| *logins).collect();
    let (start, most) =
        bars.values.iter().max_by_key(|(start, logins)| (*logins, -start)).unwrap_or(&(0, 0));
    let peak = match bars.hours < 24 {
        true => table_text(*start, view.zone),
        false => date(*start, view.zone).to_string(),
    };
    let unit = match bars.hours {
        1 => "hour".to_owned(),
        24 => "day".to_owned(),
        hours if hours < 24 => format!("{hours} hours"),
        hours => format!("{} days", hours / 24),
    };
    page.blank();
    page.line(format!("logins per {unit}  {}", spark(&values)));
    page.line(format!("most in one bar: {} from {peak}", thousands(*most)));
}

/// Equal stretches of time with their logins.
struct Bars {
    hours: i64,
    /// Start in microseconds UTC, logins.
    values: Vec<(i64, u64)>,
}

/// Sums periods into at most [`BARS_MAX`] bars; whole days begin at midnight of the zone.
fn bars(periods: &[Period], view: View<'_>) -> Option<Bars> {
    let busy = || periods.iter().filter(|it| it.logins > 0);
    let first = busy().map(|it| it.start).min()?;
    let last = busy().map(|it| it.start).max()?;
    let coarse = busy().any(|it| it.seconds > 3600);
    // In wall clock time: the bars of a day with a clock change are an hour short or long.
    let local = |time: i64| {
        let offset = view.zone.tz.to_offset(moment(time)).seconds();
        time.saturating_add(i64::from(offset) * 1_000_000)
    };
    let (first, last) = (local(first).div_euclid(HOUR), local(last).div_euclid(HOUR));
    let steps = [1, 3, 6, 24].into_iter().chain((2..).map(|days| days * 24));
    let hours = steps
        .filter(|&hours| !coarse || hours >= 24)
        .find(|&hours| last.div_euclid(hours) - first.div_euclid(hours) < BARS_MAX)?;
    let mut sums: BTreeMap<i64, u64> = BTreeMap::new();
    for bar in first.div_euclid(hours)..=last.div_euclid(hours) {
        sums.insert(bar, 0);
    }
    for period in busy() {
        let bar = local(period.start).div_euclid(HOUR).div_euclid(hours);
        *sums.entry(bar).or_default() += period.logins;
    }
    let start = |bar: i64| {
        let wall = bar.saturating_mul(hours).saturating_mul(HOUR);
        wall.saturating_sub(local(wall) - wall)
    };
    Some(Bars { hours, values: sums.into_iter().map(|(bar, sum)| (start(bar), sum)).collect() })
}

#[cfg(test)]
mod tests {
    use super::super::DAY;
    use super::*;
    use crate::time::Zone;

    #[test]
    fn bars_cover_any_span() {
        let utc = Zone::utc();
        let view = View { now: 0, zone: &utc, page: true, records: true };
        let period = |start: i64, seconds: u32| Period {
            server: Vec::new(),
            start,
            seconds,
            logins: 1,
            failures: 0,
        };
        for (span, hours) in [
            (0, 1),
            (47 * HOUR, 1),
            (48 * HOUR, 3),
            (47 * DAY, 24),
            (48 * DAY, 48),
            (3650 * DAY, 24 * 77),
            (i64::MAX / 2, 24 * 1_112_000),
        ] {
            let bars = bars(&[period(0, 3600), period(span, 3600)], view).unwrap();
            assert_eq!((bars.hours, bars.values.len() <= 48), (hours, true), "{span}");
            assert_eq!(bars.values.iter().map(|(_, sum)| sum).sum::<u64>(), 2);
        }
        // Days stay days: their hours are not known.
        assert_eq!(bars(&[period(0, 86_400)], view).unwrap().hours, 24);
        assert!(bars(&[], view).is_none());
    }
}
