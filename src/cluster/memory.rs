//! How much memory a server shares between its connections: a quarter of what there is, as PostgreSQL's manual has it ("shared_buffers").

use std::fs;

/// Least and most, in MiB. PostgreSQL's default is the least; with more than the most, a million customers are not found any faster.
const LEAST: u64 = 128;
const MOST: u64 = 1024;

/// Returns the size of the shared buffers, in MiB.
pub(super) fn shared_buffers() -> u64 {
    let there = installed().into_iter().chain(allowed()).min();
    there.map_or(LEAST, |mib| (mib / 4).clamp(LEAST, MOST))
}

/// Returns the memory of the machine, in MiB.
fn installed() -> Option<u64> {
    total(&fs::read_to_string("/proc/meminfo").ok()?)
}

fn total(meminfo: &str) -> Option<u64> {
    let line = meminfo
        .lines()
        .find_map(|line| line.strip_prefix("MemTotal:"))?;
    let kib: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kib / 1024)
}

/// Returns the memory that a container may use, in MiB; none where it may use all.
fn allowed() -> Option<u64> {
    let limit = fs::read_to_string("/sys/fs/cgroup/memory.max").ok()?;
    let bytes: u64 = limit.trim().parse().ok()?;
    Some(bytes >> 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_read_as_linux_tells_it() {
        let told = "MemTotal:       24689764 kB\nMemFree:         1234 kB\n";
        assert_eq!(total(told), Some(24111));
        assert_eq!(total("MemFree: 1 kB\n"), None);
        assert!((LEAST..=MOST).contains(&shared_buffers()));
    }
}
