//! What the table holds, and what of it stays in memory.
//!
//! | `pk`            | attributes                                     |
//! |-----------------|------------------------------------------------|
//! | `CONFIG#pricing`| `currency` S, `discount_percent` M: tier -> N  |
//! | `CUSTOMER#<id>` | `name` S, `tier` S                             |
//! | `PRODUCT#<sku>` | `name` S, `unit_price_cents` N                 |
//!
//! Any item may have `expires_at` N, its end in seconds since the Unix epoch.

use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use cache_core::caches;
use cache_core::dynamodb::{Items, KeyType, Table, TableKey};
use cache_core::environment::{Environment, EnvironmentError};
use mem_dbg::MemSize;
use serde::Deserialize;

/// The table's primary key; `infra/` creates it.
pub const KEY: TableKey = TableKey::partition("pk", KeyType::S);

caches! {
    /// The kinds of items that quotes are made of. Products are many; of pricing there is one item.
    pub struct Caches(table: &Table) {
        customers: Items<String, Customer> = table.item(|id| format!("CUSTOMER#{id}")).weight(4);
        pricing: Items<(), Pricing> = table.item(|()| "CONFIG#pricing");
        products: Items<String, Product> = table.item(|sku| format!("PRODUCT#{sku}")).weight(5);
    }
}

/// Makes the caches in front of the table of `TABLE_NAME`.
///
/// # Errors
/// Names every variable that is wrong, and what is allowed.
pub fn open(client: Client, mut environment: Environment) -> Result<Caches, EnvironmentError> {
    let table = Table::new(client, environment.table_name("TABLE_NAME"), KEY);
    Caches::new(environment, &table.end_attribute("expires_at"))
}

/// Who asks for a quote.
#[derive(Deserialize, MemSize)]
pub struct Customer {
    /// Decides about the discount.
    pub tier: String,
}

/// Shared by all quotes.
#[derive(Deserialize, MemSize)]
pub struct Pricing {
    /// Of all amounts.
    pub currency: String,
    /// By tier, 0 to 100. A tier that is not there has no discount.
    pub discount_percent: HashMap<String, u8>,
}

/// What is for sale.
#[derive(Deserialize, MemSize)]
pub struct Product {
    /// For people.
    pub name: String,
    /// Whole cents.
    pub unit_price_cents: u64,
}
