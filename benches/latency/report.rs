//! Writes the results as Markdown.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use super::crowd::Crowd;
use super::limit::Cost;
use super::measure::Group;

pub(crate) fn markdown(
    groups: &[Group],
    costs: &[Cost],
    crowds: &[Crowd],
    runs: usize,
    helper: &Path,
) -> anyhow::Result<String> {
    let mut page = String::from("# Latency of a credential request\n\n");
    let size = std::fs::metadata(helper)?.len();
    writeln!(page, "{}", machine())?;
    writeln!(
        page,
        "\nWhole processes, from the start until the answer is complete and the process has ended; interleaved, {runs} runs \
         each (keyring: 300). Ratios are relative to the first row of a table. Written by `cargo bench`. The program has \
         {}.{:02} MB.",
        size / 1_000_000,
        size % 1_000_000 / 10_000
    )?;
    for group in groups {
        writeln!(
            page,
            "\n## {}\n\n| | median, ms | p99, ms | ratio | memory, KiB |\n|---|--:|--:|--:|--:|",
            group.title
        )?;
        let first = group.rows[0].median.as_secs_f64();
        for row in &group.rows {
            let memory = row.memory.map_or_else(|| "–".to_owned(), |memory| memory.to_string());
            let ratio = row.median.as_secs_f64() / first;
            let (median, p99) = (millis(row.median), millis(row.p99));
            writeln!(page, "| {} | {median} | {p99} | {ratio:.2} | {memory} |", row.name)?;
        }
    }
    if !costs.is_empty() {
        page.push_str(
            "\n## Cost of a process\n\nThe first row is the limit of every program.\n\n\
             | | system calls | touched pages | instructions |\n|---|--:|--:|--:|\n",
        );
    }
    for Cost { name, system_calls, touched_pages, instructions } in costs {
        writeln!(page, "| {name} | {system_calls} | {touched_pages} | {instructions} |")?;
    }
    page.push_str(
        "\n## Concurrent processes\n\nFrom the start of all until the last has ended. One request refreshes a stale session.\n\n\
         | processes | fresh, ms | stale, ms | refresh, ms |\n|--:|--:|--:|--:|\n",
    );
    for Crowd { count, fresh, stale } in crowds {
        let (refresh, fresh, stale) =
            (millis(stale.saturating_sub(*fresh)), millis(*fresh), millis(*stale));
        writeln!(page, "| {count} | {fresh} | {stale} | {refresh} |")?;
    }
    Ok(page)
}

fn millis(time: Duration) -> String {
    format!("{:.2}", time.as_secs_f64() * 1000.0)
}

/// Processor, cores, system and compiler.
fn machine() -> String {
    let processor = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let processor = processor
        .lines()
        .find_map(|line| line.strip_prefix("model name"))
        .unwrap_or(": a processor");
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    let system = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let system = system
        .lines()
        .find_map(|line| line.strip_prefix("PRETTY_NAME="))
        .unwrap_or("Linux")
        .trim_matches('"');
    let rustc = Command::new("rustc")
        .arg("--version")
        .output()
        .map(|output| output.stdout)
        .unwrap_or_default();
    let rustc = String::from_utf8_lossy(&rustc).into_owned();
    let processor = processor.trim_start_matches(['\t', ' ', ':']);
    format!("{processor}, {cores} cores; {system}; {}.", rustc.trim())
}
