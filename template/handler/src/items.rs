//! The items of the table, decoded, and what they take on the heap.
//!
//! | `pk`            | attributes                                     |
//! |-----------------|------------------------------------------------|
//! | `CONFIG#pricing`| `currency` S, `discount_percent` M: tier -> N  |
//! | `CUSTOMER#<id>` | `name` S, `tier` S                             |
//! | `PRODUCT#<sku>` | `name` S, `unit_price_cents` N                 |
//!
//! Any item may have `expires_at` N, its end in seconds since the Unix epoch.

use std::collections::HashMap;

use serde::Deserialize;

/// Who asks for a quote.
#[derive(Deserialize)]
pub struct Customer {
    /// Decides about the discount.
    pub tier: String,
}

/// Shared by all quotes.
#[derive(Deserialize)]
pub struct Pricing {
    /// Of all amounts.
    pub currency: String,
    /// By tier, 0 to 100. A tier that is not there has no discount.
    pub discount_percent: HashMap<String, u8>,
}

/// What is for sale.
#[derive(Deserialize)]
pub struct Product {
    /// For people.
    pub name: String,
    /// Whole cents.
    pub unit_price_cents: u64,
}

/// The bytes that a value has allocated, itself excluded.
pub trait HeapSize {
    /// In bytes; what is allocated, rather than what is used.
    fn heap_size(&self) -> usize;
}

impl HeapSize for String {
    fn heap_size(&self) -> usize {
        self.capacity()
    }
}

impl HeapSize for () {
    fn heap_size(&self) -> usize {
        0
    }
}

impl HeapSize for Customer {
    fn heap_size(&self) -> usize {
        self.tier.heap_size()
    }
}

impl HeapSize for Pricing {
    fn heap_size(&self) -> usize {
        // A hash map has a byte of control data for each of its places.
        let place = size_of::<(String, u8)>() + 1;
        let tiers: usize = self.discount_percent.keys().map(String::heap_size).sum();
        // It grows at seven eighths, to the next power of two: twice its capacity is the most.
        self.currency.heap_size() + tiers + 2 * self.discount_percent.capacity() * place
    }
}

impl HeapSize for Product {
    fn heap_size(&self) -> usize {
        self.name.heap_size()
    }
}
