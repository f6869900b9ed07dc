//! Interleaved measurements of programs.

use std::time::Duration;

use super::case::Case;
use super::support::has_client;

/// Programs that do the same work, as one table.
pub(crate) struct Group {
    pub(crate) title: &'static str,
    pub(crate) rows: Vec<Row>,
}

/// The result for one program.
pub(crate) struct Row {
    pub(crate) name: String,
    pub(crate) median: Duration,
    /// The 99th percentile.
    pub(crate) p99: Duration,
    /// The maximum resident set in KiB, if GNU time is installed.
    pub(crate) memory: Option<u64>,
}

/// Runs the programs in turns, so that other load affects each equally. The first rounds are a warm-up.
pub(crate) fn side_by_side(
    title: &'static str,
    cases: &[Case],
    runs: usize,
) -> anyhow::Result<Group> {
    let mut times = vec![Vec::with_capacity(runs); cases.len()];
    for round in 0..runs + 10 {
        for (case, times) in cases.iter().zip(&mut times) {
            let took = case.run()?;
            if round >= 10 {
                times.push(took);
            }
        }
    }
    let rows = cases.iter().zip(times).map(|(case, times)| Row {
        name: case.name.clone(),
        memory: memory(case),
        median: quantile(times.clone(), 50),
        p99: quantile(times, 99),
    });
    Ok(Group { title, rows: rows.collect() })
}

/// The percentile of the times.
pub(crate) fn quantile(mut times: Vec<Duration>, percent: usize) -> Duration {
    times.sort_unstable();
    times[(times.len() - 1) * percent / 100]
}

fn memory(case: &Case) -> Option<u64> {
    let told =
        has_client("time").then(|| case.findings(&["/usr/bin/time", "--format=%M"]).ok())??;
    told.lines().last()?.trim().parse().ok()
}
