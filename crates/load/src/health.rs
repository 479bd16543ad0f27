//! What the generator knows about itself: CPU, descriptors, the machine's network counters.

use std::fs;
use std::time::Duration;

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use rustix::time::{ClockId, Timespec, clock_gettime};

/// CPU time of the calling thread, and how long it was ready to run without getting a CPU
/// (Linux: `/proc/thread-self/schedstat`).
pub(crate) fn thread_times() -> (Duration, Option<Duration>) {
    let cpu = duration_of(clock_gettime(ClockId::ThreadCPUTime));
    let starved = fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().nth(1)?.parse().ok())
        .map(Duration::from_nanos);
    (cpu, starved)
}

/// CPU time of the whole process.
pub(crate) fn process_cpu() -> Duration {
    duration_of(clock_gettime(ClockId::ProcessCPUTime))
}

fn duration_of(time: Timespec) -> Duration {
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Raises the limit on open descriptors as far as allowed and returns it.
pub fn raise_descriptor_limit() -> Option<u64> {
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
    // What cannot be raised is told by the limit that is returned.
    let _ = setrlimit(Resource::Nofile, raised);
    getrlimit(Resource::Nofile).current
}

/// TCP segments sent and retransmitted by the whole machine so far (Linux: `/proc/net/snmp`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct TcpCounters {
    pub(crate) sent: u64,
    pub(crate) retransmitted: u64,
}

impl TcpCounters {
    pub(crate) fn read() -> Option<TcpCounters> {
        TcpCounters::parse(&fs::read_to_string("/proc/net/snmp").ok()?)
    }

    fn parse(snmp: &str) -> Option<TcpCounters> {
        let mut rows = snmp.lines().filter(|line| line.starts_with("Tcp:"));
        let names: Vec<&str> = rows.next()?.split_whitespace().collect();
        let values: Vec<&str> = rows.next()?.split_whitespace().collect();
        let value = |name: &str| {
            let column = names.iter().position(|known| *known == name)?;
            values.get(column)?.parse().ok()
        };
        Some(TcpCounters { sent: value("OutSegs")?, retransmitted: value("RetransSegs")? })
    }

    /// Share of segments since `before` that were retransmitted.
    pub(crate) fn retransmit_ratio(self, before: TcpCounters) -> f64 {
        let sent = self.sent.saturating_sub(before.sent);
        let again = self.retransmitted.saturating_sub(before.retransmitted);
        if sent == 0 { 0.0 } else { again as f64 / sent as f64 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_busy_thread_uses_cpu() {
        let (before, _) = thread_times();
        let mut x = 1_u64;
        while thread_times().0 - before < Duration::from_millis(2) {
            x = std::hint::black_box(x.wrapping_mul(31));
        }
        assert!(process_cpu() >= Duration::from_millis(2));
    }

    #[test]
    fn tcp_counters_are_found_by_name() {
        let snmp = "Ip: A\nIp: 1\nTcp: RtoMin OutSegs RetransSegs\nTcp: 200 1000 20\n";
        let counters = TcpCounters::parse(snmp).unwrap();
        assert_eq!(counters, TcpCounters { sent: 1000, retransmitted: 20 });
        let later = TcpCounters { sent: 2000, retransmitted: 30 };
        assert_eq!(later.retransmit_ratio(counters), 0.01);
    }
}
