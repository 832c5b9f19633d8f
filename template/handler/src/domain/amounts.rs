//! What is answered, and the arithmetic. No reads, no clock.

use std::collections::HashMap;
use std::sync::Arc;

use serde::Serialize;

use super::Error;
use super::caches::{Customer, Pricing, Product};
use super::request::Request;

/// A quote. All amounts are whole cents.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)] // the fields say it
pub struct Quote {
    pub customer_id: String,
    pub currency: String,
    pub discount_percent: u8,
    /// In the order of the request, repeats included.
    pub lines: Vec<QuoteLine>,
    pub subtotal_cents: u64,
    /// Rounded down.
    pub discount_cents: u64,
    pub total_cents: u64,
}

/// One line of a quote.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[allow(missing_docs)]
pub struct QuoteLine {
    pub sku: String,
    pub name: String,
    pub quantity: u64,
    pub unit_price_cents: u64,
    pub amount_cents: u64,
}

const OVERFLOW: Error = Error::Internal("the amounts are too large");

/// Works out the quote.
///
/// # Errors
/// [`Error::Internal`] for a discount or amounts out of range, and
/// [`Error::ProductNotFound`] for a product that is not in `products`.
pub fn quote(
    request: Request,
    customer: &Customer,
    pricing: &Pricing,
    products: &HashMap<String, Arc<Product>>,
) -> Result<Quote, Error> {
    let discount_percent = pricing
        .discount_percent
        .get(&customer.tier)
        .copied()
        .unwrap_or(0);
    if discount_percent > 100 {
        return Err(Error::Internal("a discount is over 100 %"));
    }
    let mut subtotal_cents: u64 = 0;
    let mut lines = Vec::with_capacity(request.lines.len());
    for line in request.lines {
        let Some(product) = products.get(&line.sku) else {
            return Err(Error::ProductNotFound(vec![line.sku]));
        };
        let amount_cents = product
            .unit_price_cents
            .checked_mul(line.quantity)
            .ok_or(OVERFLOW)?;
        subtotal_cents = subtotal_cents.checked_add(amount_cents).ok_or(OVERFLOW)?;
        lines.push(QuoteLine {
            sku: line.sku,
            name: product.name.clone(),
            quantity: line.quantity,
            unit_price_cents: product.unit_price_cents,
            amount_cents,
        });
    }
    let percent = u64::from(discount_percent);
    // First the whole hundreds, so that nothing overflows.
    let discount_cents = subtotal_cents / 100 * percent + subtotal_cents % 100 * percent / 100;
    Ok(Quote {
        customer_id: request.customer_id,
        currency: pricing.currency.clone(),
        discount_percent,
        lines,
        subtotal_cents,
        discount_cents,
        total_cents: subtotal_cents - discount_cents,
    })
}
