//! The three caches, and a quote's way through them.

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::Instant;

use aws_sdk_dynamodb::Client;
use cache_core::clock::{Clock, SystemClock};
use cache_core::dynamodb::{ItemKey, ReadError, TableLoader};
use cache_core::{Cache, Deadline, Key, LEAST_MEMORY, Stats};
use serde::de::DeserializeOwned;

use crate::config::Config;
use crate::error::QuoteError;
use crate::items::{Customer, HeapSize, Pricing, Product};
use crate::metrics::Metrics;
use crate::quote::{Quote, quote};
use crate::request::{Line, Request};

/// How the caches' memory is divided, beyond what each needs at least. Products are many; of
/// pricing there is one item.
const CUSTOMERS_PERCENT: u64 = 40;
const PRICING_PERCENT: u64 = 10;
const PRODUCTS_PERCENT: u64 = 50;
const _: () = assert!(CUSTOMERS_PERCENT + PRICING_PERCENT + PRODUCTS_PERCENT == 100);

/// Values are shared with the cache rather than copied out of it.
type ItemCache<K, V> = Cache<K, Arc<V>, TableLoader<K, Arc<V>>>;

/// Makes quotes. One for each execution environment: its caches live as long.
pub struct QuoteService {
    customers: ItemCache<String, Customer>,
    pricing: ItemCache<(), Pricing>,
    products: ItemCache<String, Product>,
    metrics: Metrics,
    clock: Arc<dyn Clock>,
}

impl QuoteService {
    /// Builds the caches in front of the table.
    ///
    /// # Errors
    /// When the memory given to the caches is too small.
    pub fn new(client: &Client, config: &Config) -> Result<Self, cache_core::ConfigError> {
        Self::with_clock(client, config, Arc::new(SystemClock::default()))
    }

    /// As [`new`](Self::new), with a clock that tests can move.
    pub fn with_clock(
        client: &Client,
        config: &Config,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, cache_core::ConfigError> {
        let caches = Caches {
            client,
            config,
            clock: Arc::clone(&clock),
        };
        let metrics = Metrics::new(
            config.metrics_namespace.clone(),
            config.function_name.clone(),
            config.metrics_interval,
        );
        let customers = caches.loader(|id| format!("CUSTOMER#{id}"));
        let pricing = caches.loader(|()| "CONFIG#pricing".to_string());
        let products = caches.loader(|sku| format!("PRODUCT#{sku}"));
        Ok(QuoteService {
            customers: caches.build(CUSTOMERS_PERCENT, customers)?,
            pricing: caches.build(PRICING_PERCENT, pricing)?,
            products: caches.build(PRODUCTS_PERCENT, products)?,
            metrics,
            clock,
        })
    }

    /// Answers a request in JSON by `deadline`.
    ///
    /// # Errors
    /// The first [`QuoteError`] that applies, in their order.
    pub async fn answer(&self, json: &str, deadline: Deadline) -> Result<Quote, QuoteError> {
        let request = Request::parse(json)?;
        let (before, start) = (self.lookups(), Instant::now());
        let read = self.read(&request, deadline).await;
        let after = self.lookups();
        // Counts in what other invocations did meanwhile, in environments that run several.
        tracing::debug!(
            hits = after.0 - before.0,
            misses = after.1 - before.1,
            loading_microseconds = start.elapsed().as_micros() as u64,
            "read"
        );
        let (customer, pricing, products) = read?;
        quote(request, &customer, &pricing, &products)
    }

    /// What each cache has done since the environment started.
    pub fn stats(&self) -> [(&'static str, Stats); 3] {
        [
            ("customers", self.customers.stats()),
            ("pricing", self.pricing.stats()),
            ("products", self.products.stats()),
        ]
    }

    /// The lines of metrics that are due: print them at the end of an invocation.
    pub fn metrics(&self) -> Vec<String> {
        self.metrics.lines(&self.stats(), self.clock.now())
    }

    fn lookups(&self) -> (u64, u64) {
        let add =
            |sum: (u64, u64), (_, stats): (_, Stats)| (sum.0 + stats.hits, sum.1 + stats.misses);
        self.stats().into_iter().fold((0, 0), add)
    }

    /// Reads all items of a request at the same time.
    async fn read(
        &self,
        request: &Request,
        deadline: Deadline,
    ) -> Result<(Arc<Customer>, Arc<Pricing>, HashMap<String, Arc<Product>>), QuoteError> {
        // The first failed read ends the others: nobody waits for a quote that cannot be.
        let (customer, pricing, products) = tokio::try_join!(
            async {
                let customer = self
                    .customers
                    .get(&request.customer_id, deadline.clone())
                    .await;
                readable(customer, "customers", &request.customer_id)
            },
            async { readable(self.pricing.get(&(), deadline.clone()).await, "pricing", "") },
            async {
                let skus = request.lines.iter().map(|line| line.sku.clone());
                let products = self.products.get_many(skus, deadline.clone()).await;
                let products = products.into_iter().map(|(sku, product)| {
                    let product = readable(product, "products", &sku)?;
                    Ok((sku, product))
                });
                products.collect::<Result<HashMap<_, _>, _>>()
            }
        )?;
        // What is missing wins over what cannot be decoded.
        let pricing = pricing.transpose().ok_or(QuoteError::ConfigMissing)?;
        let not_found = || QuoteError::CustomerNotFound(request.customer_id.clone());
        let customer = customer.transpose().ok_or_else(not_found)?;
        let mut missing: Vec<String> = Vec::new();
        for Line { sku, .. } in &request.lines {
            if matches!(products.get(sku), Some(Ok(None))) && !missing.contains(sku) {
                missing.push(sku.clone());
            }
        }
        if !missing.is_empty() {
            return Err(QuoteError::ProductNotFound(missing));
        }
        let found = |(sku, product): (String, Result<_, _>)| {
            Some(product.transpose()?.map(|product| (sku, product)))
        };
        let products = products
            .into_iter()
            .filter_map(found)
            .collect::<Result<_, _>>()?;
        Ok((customer?, pricing?, products))
    }
}

/// What caches are built from.
struct Caches<'a> {
    client: &'a Client,
    config: &'a Config,
    clock: Arc<dyn Clock>,
}

impl Caches<'_> {
    /// Reads the item with that `pk`.
    fn loader<K: Key, V>(&self, pk: fn(&K) -> String) -> TableLoader<K, Arc<V>>
    where
        Arc<V>: DeserializeOwned,
    {
        let item_key = move |key: &K| ItemKey::partition("pk", pk(key));
        TableLoader::new(self.client.clone(), &self.config.table_name, item_key)
            .end_attribute("expires_at")
    }

    fn build<K, V>(
        &self,
        memory_percent: u64,
        loader: TableLoader<K, Arc<V>>,
    ) -> Result<ItemCache<K, V>, cache_core::ConfigError>
    where
        K: HeapSize + Key,
        V: HeapSize + Send + Sync + 'static,
        Arc<V>: DeserializeOwned,
    {
        let Config {
            ttl,
            absent_ttl,
            stale_if_error,
            jitter_percent,
            cache_bytes,
            ..
        } = self.config;
        let heap = |key: &K, value: Option<&Arc<V>>| {
            // An `Arc` allocates two counters and the value.
            let value = value.map_or(0, |value| 16 + size_of::<V>() + value.heap_size());
            key.heap_size() + value
        };
        // There are three caches.
        let spare = cache_bytes.saturating_sub(3 * LEAST_MEMORY);
        let memory = LEAST_MEMORY + spare * memory_percent / 100;
        Cache::builder(loader)
            .ttl(*ttl)
            .absent_ttl(*absent_ttl)
            .stale_if_error(*stale_if_error)
            .jitter_percent(*jitter_percent)
            .memory(memory, heap)
            .clock(Arc::clone(&self.clock))
            .build()
    }
}

/// Tells a read that failed, which ends everything, from an item that cannot be decoded, which
/// something missing still wins over.
fn readable<T>(
    read: Result<Option<T>, cache_core::Error<ReadError>>,
    what: &'static str,
    key: &str,
) -> Result<Result<Option<T>, QuoteError>, QuoteError> {
    match read {
        Ok(item) => Ok(Ok(item)),
        Err(error) => {
            let cause = error.source().map(ToString::to_string);
            tracing::warn!(what, key, %error, cause, "a read failed");
            match error {
                cache_core::Error::Load(error) if matches!(*error, ReadError::Decode(_)) => {
                    Ok(Err(QuoteError::Internal("an item cannot be decoded")))
                }
                _ => Err(QuoteError::Unavailable(what)),
            }
        }
    }
}
