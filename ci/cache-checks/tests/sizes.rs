//! The sizes that `mem_dbg` derives, against an allocator that counts.
#![allow(clippy::unwrap_used)]

use std::alloc::System;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::sync::Arc;

use aws_sdk_dynamodb::types::AttributeValue;
use cache_core::dynamodb::{Attributes, decode};
use cap::Cap;
use mem_dbg::{MemSize, SizeFlags};
use serde::Deserialize;

#[global_allocator]
static ALLOCATOR: Cap<System> = Cap::new(System, usize::MAX);

#[derive(Deserialize, MemSize)]
struct Order {
    id: String,
    address: Option<Address>,
    lines: Vec<Line>,
}

#[derive(Deserialize, MemSize)]
struct Address {
    street: String,
    zip: Box<str>,
}

#[derive(Deserialize, MemSize)]
struct Line {
    sku: Arc<String>,
    amounts: HashMap<String, u8>,
}

#[derive(MemSize)]
#[allow(dead_code)] // made and measured, never read
enum Payment {
    Cash(u64),
    Card { number: String, of: Box<Address> },
    Voucher([u8; 200]),
}

/// In per cent of what was allocated.
const CLOSE: RangeInclusive<f64> = -5.0..=5.0;
/// How full a B-tree's nodes are it does not tell: half are assumed, and collected at once all are.
const B_TREE: RangeInclusive<f64> = -5.0..=110.0;

/// One test alone: others would allocate meanwhile.
#[test]
fn the_size_of_a_value_is_what_it_allocated_and_of_a_b_tree_seldom_less() {
    let mut table = Table::default();
    for n in [0, 1, 7, 8, 57, 100, 1000] {
        table.row("String", n, CLOSE, || text(n));
        table.row("Option<String>", n, CLOSE, || Some(text(n)));
        table.row("Arc<String>", n, CLOSE, || Arc::new(text(n)));
        table.row("Vec<String>, pushed", n, CLOSE, || {
            let mut texts = Vec::new();
            (0..n).for_each(|n| texts.push(text(n % 20)));
            texts
        });
        table.row("Vec<Arc<Address>>", n, CLOSE, || {
            let addresses = (0..n).map(|n| Arc::new(address(n)));
            addresses.collect::<Vec<_>>()
        });
        table.row("Vec<Arc<Address>>, one repeated", n, CLOSE, || {
            let address = Arc::new(address(7));
            vec![address; n]
        });
        table.row("HashMap<String, u8>, collected", n, CLOSE, || {
            let entries = (0..n).map(|n| (n.to_string(), 7));
            entries.collect::<HashMap<_, u8>>()
        });
        table.row("HashMap<String, u8>, decoded", n, CLOSE, || {
            decoded::<HashMap<String, u8>>(numbers(n))
        });
        table.row("HashSet<u64>", n, CLOSE, || {
            (0..n as u64).collect::<HashSet<_>>()
        });
        table.row("BTreeMap<String, u8>, decoded", n, B_TREE, || {
            decoded::<BTreeMap<String, u8>>(numbers(n))
        });
        table.row("BTreeMap<u64, u64>, ascending", n, B_TREE, || {
            let mut map = BTreeMap::new();
            (0..n as u64).for_each(|n| assert!(map.insert(n, n).is_none()));
            map
        });
        table.row("BTreeMap<u64, u64>, collected", n, B_TREE, || {
            (0..n as u64).map(|n| (n, n)).collect::<BTreeMap<_, _>>()
        });
        table.row("struct of structs, decoded", n, CLOSE, || {
            decoded::<Order>(order(n))
        });
        table.row("Vec<enum>", n, CLOSE, || {
            (0..n).map(payment).collect::<Vec<_>>()
        });
    }
    table.row("Option<String>, none", 0, CLOSE, || None::<String>);
    for n in 0..3 {
        table.row("enum", n, CLOSE, || payment(n));
    }
    println!("{}", table.rows.join("\n"));
    assert!(table.wrong.is_empty(), "{:#?}", table.wrong);
}

#[derive(Default)]
struct Table {
    rows: Vec<String>,
    wrong: Vec<String>,
}

impl Table {
    /// What `make` makes of `n` parts may be wrong by so much.
    fn row<T: MemSize>(
        &mut self,
        what: &str,
        n: usize,
        allowed: RangeInclusive<f64>,
        make: impl FnOnce() -> T,
    ) {
        let before = ALLOCATOR.allocated();
        let value = make();
        let allocated = ALLOCATOR.allocated() - before;
        // As cache-core does it.
        let flags = SizeFlags::CAPACITY | SizeFlags::FOLLOW_RCS;
        let derived = value.mem_size(flags) - size_of::<T>();
        let percent = match (derived, allocated) {
            (0, 0) => 0.0,
            _ => (derived as f64 / allocated as f64 - 1.0) * 100.0,
        };
        let row = format!("{what:32} {n:5} {allocated:8} {derived:8} {percent:+6.1} %");
        if !allowed.contains(&percent) {
            self.wrong.push(row.clone());
        }
        self.rows.push(row);
    }
}

fn text(length: usize) -> String {
    "x".repeat(length)
}

fn address(length: usize) -> Address {
    Address {
        street: text(length),
        zip: text(5).into(),
    }
}

fn payment(number: usize) -> Payment {
    match number % 3 {
        0 => Payment::Cash(1),
        1 => Payment::Voucher([1; 200]),
        _ => Payment::Card {
            number: text(16),
            of: Box::new(address(30)),
        },
    }
}

/// As a kind gets it from DynamoDB.
fn decoded<T: serde::de::DeserializeOwned>(item: Attributes) -> T {
    decode(item, None).unwrap().value
}

fn numbers(count: usize) -> Attributes {
    let number = |n: usize| (n.to_string(), AttributeValue::N("7".into()));
    (0..count).map(number).collect()
}

fn order(lines: usize) -> Attributes {
    let text = |length| AttributeValue::S(text(length));
    let line = |n: usize| {
        let amounts = AttributeValue::M(numbers(n % 10));
        let line = [("sku".into(), text(n % 20)), ("amounts".into(), amounts)];
        AttributeValue::M(line.into())
    };
    let address = [("street".into(), text(30)), ("zip".into(), text(5))];
    Attributes::from([
        ("id".into(), text(36)),
        ("address".into(), AttributeValue::M(address.into())),
        (
            "lines".into(),
            AttributeValue::L((0..lines).map(line).collect()),
        ),
    ])
}
