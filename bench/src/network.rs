//! The network between a function and DynamoDB, simulated: a proxy in front of DynamoDB Local that
//! lets each response go when the time of a request in one region is over.
//!
//! The time is log-normal, with the median and the 99th percentile of a thousand reads that others
//! measured and published. They had a narrower body and rarer, longer outliers than that.

use std::io::{self, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustls::{ServerConfig, ServerConnection, StreamOwned};

use crate::http::Message;

/// Of a request, in milliseconds.
pub const MEDIAN: f64 = 4.25;
pub const P99: f64 = 6.24;

/// Where that is from.
pub const SOURCE: &str = "That is what 1,000 reads took, one after another: GetItem of 1 KB, strongly \
    consistent, from a Python client in us-east-1 in September 2021 (the artifact of FaaSKeeper, HPDC 2024: \
    github.com/spcl/faaskeeper-paper-artifact, data/microbenchmark_storage/intraregion_dynamodb.csv). Three \
    of them are the 10 to 15 ms of the published function. Reads there differed less than these, nine of \
    ten took less than 4.5 ms, but for five that took 9 to 19 ms, which these never do";

/// The time of one request.
pub fn latency(random: &mut fastrand::Rng) -> Duration {
    log_normal(random, MEDIAN, P99)
}

/// A time that has this median and this 99th percentile, in milliseconds.
pub fn log_normal(random: &mut fastrand::Rng, median: f64, p99: f64) -> Duration {
    // The 99th percentile of a normal distribution is 2.326 deviations above its median.
    let sigma = (p99 / median).ln() / 2.326;
    // Box and Muller.
    let (one, two) = (1.0 - random.f64(), random.f64());
    let normal = (-2.0 * one.ln()).sqrt() * (std::f64::consts::TAU * two).cos();
    Duration::from_secs_f64(median / 1000.0 * (sigma * normal).exp())
}

/// In front of DynamoDB Local. Lives until the process ends.
pub struct Network {
    /// Where functions find DynamoDB.
    pub endpoint: String,
    requests: Arc<AtomicU64>,
}

impl Network {
    /// Starts a proxy in front of `upstream`, an address with a port; with `tls`, for HTTPS.
    pub fn start(upstream: &str, tls: Option<Arc<ServerConfig>>) -> io::Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let port = listener.local_addr()?.port();
        let endpoint = match &tls {
            None => format!("http://127.0.0.1:{port}"),
            // Certificates are for names.
            Some(_) => format!("https://localhost:{port}"),
        };
        let requests = Arc::new(AtomicU64::new(0));
        let (counter, upstream) = (Arc::clone(&requests), upstream.to_string());
        thread::spawn(move || {
            for (number, client) in listener.incoming().flatten().enumerate() {
                let (counter, upstream) = (Arc::clone(&counter), upstream.clone());
                let tls = tls.clone();
                thread::spawn(move || {
                    let random = fastrand::Rng::with_seed(number as u64);
                    // A connection that breaks is the function's to see.
                    let _ = serve(client, tls, &upstream, random, &counter);
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

fn serve(
    client: TcpStream,
    tls: Option<Arc<ServerConfig>>,
    upstream: &str,
    random: fastrand::Rng,
    requests: &AtomicU64,
) -> io::Result<()> {
    let server = TcpStream::connect(upstream)?;
    for stream in [&client, &server] {
        stream.set_nodelay(true)?;
    }
    match tls {
        None => forward(client, server, random, requests),
        Some(tls) => {
            let connection = ServerConnection::new(tls).map_err(io::Error::other)?;
            let client = StreamOwned::new(connection, client);
            forward(client, server, random, requests)
        }
    }
}

fn forward(
    client: impl Read + Write,
    server: TcpStream,
    mut random: fastrand::Rng,
    requests: &AtomicU64,
) -> io::Result<()> {
    let (mut client, mut server) = (BufReader::new(client), BufReader::new(server));
    while let Some(request) = Message::read(&mut client)? {
        let over = Instant::now() + latency(&mut random);
        requests.fetch_add(1, Ordering::Relaxed);
        server.get_mut().write_all(&request.bytes())?;
        let Some(response) = Message::read(&mut server)? else {
            break;
        };
        // What DynamoDB Local takes itself is within the time, not on top of it.
        thread::sleep(over.saturating_duration_since(Instant::now()));
        client.get_mut().write_all(&response.bytes())?;
        client.get_mut().flush()?;
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
