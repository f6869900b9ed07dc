use crate::explorer::explore;
use crate::world::{Bounds, Control, World};

fn show(name: &str, b: Bounds) {
    let t = std::time::Instant::now();
    let e = explore(World::new(b), 10_000_000);
    println!(
        "{name} {} {:?} {:?}",
        e.states,
        t.elapsed(),
        e.violation.map(|(v, t)| format!(
            "{v}\n{}",
            t.iter().map(|(i, l)| format!("  {i} {l}\n")).collect::<String>()
        ))
    );
}

#[test]
fn x() {
    let b = Bounds { machines: 2, calls: 2, ..Bounds::default() };
    show("stale", Bounds { stale_reads: 1, long_delays: 1, crashes: 1, ..b });
    show("writes", Bounds { lost_writes: 1, lagging_refusals: 1, ..b });
    show("writes slow", Bounds { lost_writes: 1, short_delays: 2, long_delays: 1, ..b });
    show("response", Bounds { lost_responses: 1, failed_requests: 1, long_delays: 2, ..b });
    show("people", Bounds { logins: 1, logouts: 1, stale_reads: 1, ..b });
    show("people crash", Bounds { logins: 1, logouts: 1, crashes: 1, lost_writes: 1, ..b });
    show("pause", Bounds { may_pause: true, long_delays: 2, crashes: 1, ..b });
    show("three", Bounds { machines: 3, calls: 1, crashes: 1, long_delays: 1, ..b });
    show("C sep", Bounds { stale_reads: 1, control: Some(Control::SeparateLease), ..b });
    show("C id", Bounds { logins: 1, control: Some(Control::NoLoginId), ..b });
    show(
        "C late",
        Bounds {
            may_pause: true,
            long_delays: 1,
            short_delays: 1,
            crashes: 1,
            control: Some(Control::NoLateResult),
            ..b
        },
    );
}
