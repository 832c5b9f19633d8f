//! The example: a quote's way from the request through the caches to the answer.

mod amounts;
mod caches;
mod error;
mod request;

use std::collections::HashMap;
use std::sync::Arc;

use cache_core::{Deadline, ReadError};

pub use amounts::{Quote, Quote as Answer, QuoteLine, quote};
pub use caches::{Caches, Customer, KEY, Pricing, Product, open};
pub use error::Error;
pub use request::{Line, Request};

/// Answers a request in JSON by `deadline`.
///
/// # Errors
/// The first [`Error`] that applies, in their order.
pub async fn answer(caches: &Caches, json: &str, deadline: &Deadline) -> Result<Quote, Error> {
    let request = Request::parse(json)?;
    let (customer, pricing, products) = read(caches, &request, deadline).await?;
    quote(request, &customer, &pricing, &products)
}

/// Reads all items of a request at the same time.
async fn read(
    caches: &Caches,
    request: &Request,
    deadline: &Deadline,
) -> Result<(Arc<Customer>, Arc<Pricing>, HashMap<String, Arc<Product>>), Error> {
    let Caches {
        customers,
        pricing,
        products,
        ..
    } = caches;
    // The first failed read ends the others: nobody waits for a quote that cannot be.
    let (customer, pricing, products) = tokio::try_join!(
        async {
            let customer = customers.get(&request.customer_id, deadline).await;
            readable(customer, customers.name())
        },
        async { readable(pricing.get(&(), deadline).await, pricing.name()) },
        async {
            let skus = request.lines.iter().map(|line| line.sku.clone());
            let found = products.get_many(skus, deadline).await.into_iter();
            let found = found.map(|(sku, product)| Ok((sku, readable(product, products.name())?)));
            found.collect::<Result<HashMap<_, _>, _>>()
        }
    )?;
    // What is missing wins over what cannot be decoded.
    let pricing = pricing.transpose().ok_or(Error::ConfigMissing)?;
    let not_found = || Error::CustomerNotFound(request.customer_id.clone());
    let customer = customer.transpose().ok_or_else(not_found)?;
    let mut missing: Vec<String> = Vec::new();
    for Line { sku, .. } in &request.lines {
        if matches!(products.get(sku), Some(Ok(None))) && !missing.contains(sku) {
            missing.push(sku.clone());
        }
    }
    if !missing.is_empty() {
        return Err(Error::ProductNotFound(missing));
    }
    let found = products
        .into_iter()
        .filter_map(|(sku, product)| Some(product.transpose()?.map(|product| (sku, product))));
    Ok((customer?, pricing?, found.collect::<Result<_, _>>()?))
}

/// Tells a read that failed, which ends everything, from an item that cannot be decoded, which
/// something missing still wins over. The log has the reasons.
fn readable<T>(
    read: Result<Option<T>, cache_core::Error<ReadError>>,
    kind: &'static str,
) -> Result<Result<Option<T>, Error>, Error> {
    match read {
        Ok(item) => Ok(Ok(item)),
        Err(error) if error.is_about_the_key() => {
            Ok(Err(Error::Internal("an item cannot be decoded")))
        }
        Err(_) => Err(Error::Unavailable(kind)),
    }
}
