//! The network between a function and DynamoDB, simulated: a proxy in front of DynamoDB Local that
//! lets each response go when the time of a request in one region is over.
//!
//! The time is log-normal. Its median, 3.8 ms, is a third of the 10 to 15 ms that the published
//! function took for three reads. Its 99th percentile, 9.9 ms, is the most that "single-digit
//! millisecond performance" leaves, which is how the authors of DynamoDB put it.

use std::io::{self, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::Message;

/// Of a request, in milliseconds.
pub const MEDIAN: f64 = 3.8;
pub const P99: f64 = 9.9;

/// Where that is from.
pub const SOURCE: &str = "The median is a third of the 10 to 15 ms that the published function took \
    for three reads (High Scalability, December 2022, quoting @dfrasca80); the tail is \"single-digit \
    millisecond performance\" (Amazon DynamoDB, USENIX ATC 2022)";

/// The time of one request.
pub fn latency(random: &mut fastrand::Rng) -> Duration {
    // The 99th percentile of a normal distribution is 2.326 deviations above its median.
    let sigma = (P99 / MEDIAN).ln() / 2.326;
    // Box and Muller.
    let (one, two) = (1.0 - random.f64(), random.f64());
    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
    Duration::from_secs_f64(MEDIAN / 1000.0 * (sigma * normal).exp())
}

/// In front of DynamoDB Local. Lives until the process ends.
pub struct Network {
    /// Where functions find DynamoDB.
    pub endpoint: String,
    requests: Arc<AtomicU64>,
}

impl Network {
    /// Starts a proxy in front of `upstream`, an address with a port.
    pub fn start(upstream: &str) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, upstream) = (Arc::clone(&requests), upstream.to_string());
        thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let (counter, upstream) = (Arc::clone(&counter), upstream.clone());
                thread::spawn(move || {
                    let random = fastrand::Rng::with_seed(number as u64);
                    // A connection that breaks is the function's to see.
                    let _ = forward(client, &upstream, random, &counter);
                });
            }
        });
        Ok(Network { endpoint, requests })
    }

    /// How many requests it has seen.
    pub fn requests(&self) -> u64 {
        self.requests.load(Ordering::Relaxed)
    }
}

fn forward(
    mut client: TcpStream,
    upstream: &str,
    mut random: fastrand::Rng,
    requests: &AtomicU64,
) -> io::Result<()> {
    let mut server = TcpStream::connect(upstream)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    let mut from_client = BufReader::new(client.try_clone()?);
    let mut from_server = BufReader::new(server.try_clone()?);
    while let Some(request) = Message::read(&mut from_client)? {
        let over = Instant::now() + latency(&mut random);
        requests.fetch_add(1, Ordering::Relaxed);
        server.write_all(&request.bytes())?;
        let Some(response) = Message::read(&mut from_server)? else {
            break;
        };
        // What DynamoDB Local takes itself is within the time, not on top of it.
        thread::sleep(over.saturating_duration_since(Instant::now()));
        client.write_all(&response.bytes())?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::samples::Samples;

    #[test]
    fn the_latency_has_the_stated_median_and_tail() {
        let mut random = fastrand::Rng::with_seed(1);
        let draws = (0..200_000).map(|_| latency(&mut random).as_secs_f64() * 1000.0);
        let draws = Samples(draws.collect());
        assert!((draws.percentile(50.0) - MEDIAN).abs() < 0.05);
        assert!((draws.percentile(99.0) - P99).abs() < 0.2);
    }
}
