//! What both functions know.

use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize)]
pub struct Order {
    pub customer: String,
    pub number: u64,
    pub warehouse: u64,
    pub skus: Vec<String>,
}

#[derive(Deserialize)]
pub struct Customer {
    pub name: String,
}

#[derive(Deserialize)]
pub struct Product {
    pub id: String,
    pub name: String,
    pub price_cents: u64,
}

#[derive(Deserialize)]
pub struct Warehouse {
    pub city: String,
}
