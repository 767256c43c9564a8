//! Ways to give the kernel what a Media Distributor sends: which of them the switch should use.
//!
//! `cargo run --release --manifest-path benchmarks/sockets/Cargo.toml` prints Markdown: nanoseconds
//! of CPU a datagram, of the whole process (so a kernel thread that polls is in it), medians of
//! rounds in which all ways take turns. Receivers are emptied in between, which isn't counted.

mod datagrams;
mod ways;

use std::io;
use std::time::Duration;

use datagrams::{Burst, Named, Sink};
use ways::Way;

const ROUNDS: usize = 300;
const LIVESTREAM: Burst = Burst {
    receivers: 50,
    datagrams: 14,
    length: 1200,
};
const AUDIO: Burst = Burst {
    receivers: 500,
    datagrams: 1,
    length: 160,
};

/// What the process has used of the processors.
fn cpu() -> Duration {
    let mut time = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the kernel writes into `time` alone.
    let result = unsafe { libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, &raw mut time) };
    assert_eq!(result, 0, "Linux has this clock");
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn main() -> io::Result<()> {
    for (title, burst) in [("livestream", LIVESTREAM), ("audio", AUDIO)] {
        println!(
            "\n{title}: {} datagrams of {} bytes to each of {}\n",
            burst.datagrams, burst.length, burst.receivers
        );
        println!("| way | ns for a datagram | of sendmmsg's |\n|---|---|---|");
        let sink = Sink::new(burst.receivers)?;
        let results = measure(burst, &sink)?;
        let beside = results[0].1;
        for (way, nanoseconds) in results {
            println!("| {way} | {nanoseconds:.0} | {:.2} |", nanoseconds / beside);
        }
    }
    Ok(())
}

fn measure(burst: Burst, sink: &Sink) -> io::Result<Vec<(String, f64)>> {
    let data = vec![7; burst.datagrams * burst.length];
    let to = sink.addresses()?;
    let mut ways = ways(burst, &to, &data)?;
    let mut times = vec![Vec::new(); ways.len()];
    for _ in 0..ROUNDS {
        for ((name, way), times) in ways.iter_mut().zip(&mut times) {
            let before = cpu();
            way()?;
            times.push(cpu() - before);
            let arrived = sink.drain();
            assert_eq!(
                arrived,
                burst.total(),
                "{name}: all arrive, or it says nothing"
            );
        }
    }
    let median = |mut times: Vec<Duration>| {
        times.sort_unstable();
        times[times.len() / 2].as_nanos() as f64 / burst.total() as f64
    };
    let names = ways.into_iter().map(|way| way.0);
    Ok(names.zip(times.into_iter().map(median)).collect())
}

fn ways<'a>(
    burst: Burst,
    to: &[std::net::SocketAddr],
    data: &'a [u8],
) -> io::Result<Vec<(String, Way<'a>)>> {
    use Named::{ByMessage, BySocket};
    let mut ways = Vec::new();
    let mut add = |name: &str, way| ways.push((name.to_owned(), way));
    let all = burst.datagrams;
    // With one datagram to each there is nothing to segment.
    let kinds: &[(&str, usize)] = if all > 1 {
        &[("", 1), (", UDP_SEGMENT", all)]
    } else {
        &[("", 1)]
    };
    for (kind, at_once) in kinds.iter().copied() {
        let mut add = |name: &str, way| add(&format!("{name}{kind}"), way);
        add(
            "sendmmsg of 256",
            ways::sendmmsg(burst, at_once, 256, to, data)?,
        );
        add(
            "sendmmsg of 64",
            ways::sendmmsg(burst, at_once, 64, to, data)?,
        );
        add(
            "sendmmsg of 8",
            ways::sendmmsg(burst, at_once, 8, to, data)?,
        );
        add(
            "sendmsg",
            ways::sendmsg(burst, at_once, to, ByMessage, data)?,
        );
        add(
            "sendmsg, connected",
            ways::sendmsg(burst, at_once, to, BySocket, data)?,
        );
        add(
            "io_uring",
            ways::uring(burst, at_once, to, ByMessage, false, data)?,
        );
        add(
            "io_uring, connected",
            ways::uring(burst, at_once, to, BySocket, false, data)?,
        );
        add(
            "io_uring, polled",
            ways::uring(burst, at_once, to, ByMessage, true, data)?,
        );
    }
    Ok(ways)
}
